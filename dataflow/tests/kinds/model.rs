//! The naive model: rows in a list, and every score written out.

use std::sync::Arc;

use millstream_catalog::model::{
    CollectionId, CollectionSchema, DataType, FieldId, FieldSchema, Metric, PartitionId,
};
use millstream_log::RecordBuilder;
use rand::RngExt;
use rand::rngs::StdRng;

pub(crate) const COLLECTION: CollectionId = CollectionId(4);
pub(crate) const PK: FieldId = FieldId(100);
pub(crate) const KIND: FieldId = FieldId(101);
pub(crate) const WORD: FieldId = FieldId(102);
/// Says of a row what its other fields do.
const DOC: FieldId = FieldId(109);
pub(crate) const DIM: usize = 8;

/// Vector fields, their types, and the metrics of each.
pub(crate) const VECTORS: [(FieldId, DataType, &[Metric]); 6] = [
    (FieldId(103), DataType::FloatVector, &FLOAT_METRICS),
    (FieldId(104), DataType::Float16Vector, &FLOAT_METRICS),
    (FieldId(105), DataType::BFloat16Vector, &FLOAT_METRICS),
    (FieldId(106), DataType::Int8Vector, &FLOAT_METRICS),
    (FieldId(107), DataType::BinaryVector, &BIT_METRICS),
    (FieldId(108), DataType::SparseFloatVector, &[Metric::Ip]),
];
const FLOAT_METRICS: [Metric; 3] = [Metric::L2, Metric::Ip, Metric::Cosine];
const BIT_METRICS: [Metric; 4] =
    [Metric::Hamming, Metric::Jaccard, Metric::Substructure, Metric::Superstructure];

pub(crate) type Vector = [u8; DIM];

/// A row: its vector is the same numbers, or the bits of them, in every field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) pk: i64,
    pub(crate) kind: Option<i64>,
    pub(crate) word: String,
    pub(crate) vector: Vector,
    pub(crate) partition: PartitionId,
}

impl Row {
    pub(crate) fn random(rng: &mut StdRng) -> Row {
        let kind = rng.random_range(-1..4);
        Row {
            pk: rng.random_range(0..60),
            kind: (kind >= 0).then_some(kind),
            word: format!("w{}", rng.random_range(0..3)),
            vector: random_vector(rng),
            partition: PartitionId(0),
        }
    }
}

impl Row {
    /// The cell of its document: most keys are numbers, some are texts, and some have no kind.
    fn document(&self) -> Vec<u8> {
        let Row { pk, word, .. } = self;
        let n = if pk % 7 == 0 { format!("\"{pk}\"") } else { pk.to_string() };
        let k = self.kind.map_or(String::new(), |kind| format!(",\"k\":{kind}"));
        let text = format!("{{\"n\":{n},\"in\":{{\"w\":\"{word}\"}}{k}}}");
        let mut cell = Vec::new();
        millstream_expr::json_cell(text.as_bytes(), &mut cell).unwrap();
        cell
    }
}

pub(crate) fn random_vector(rng: &mut StdRng) -> Vector {
    std::array::from_fn(|_| rng.random_range(0..4))
}

/// The rows that are visible now, the newest last.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) rows: Vec<Row>,
}

impl Model {
    pub(crate) fn put(&mut self, replace: bool, partition: PartitionId, rows: &[Row]) {
        if replace {
            let ends =
                |old: &Row| old.partition == partition && rows.iter().any(|new| new.pk == old.pk);
            self.rows.retain(|row| !ends(row));
        }
        self.rows.extend(rows.iter().map(|row| Row { partition, ..row.clone() }));
    }
}

pub(crate) fn schema() -> Arc<CollectionSchema> {
    let field = |id, name: &str, data_type| FieldSchema::new(id, name, data_type);
    let mut fields = vec![
        FieldSchema { is_primary: true, ..field(PK, "pk", DataType::Int64) },
        FieldSchema { nullable: true, ..field(KIND, "kind", DataType::Int64) },
        field(WORD, "word", DataType::VarChar),
        field(DOC, "doc", DataType::Json),
    ];
    for (id, data_type, _) in VECTORS {
        let dim = if data_type == DataType::SparseFloatVector { 0 } else { DIM as u32 };
        fields.push(FieldSchema { dim, ..field(id, &format!("v{id}"), data_type) });
    }
    Arc::new(CollectionSchema {
        name: "kinds".to_owned(),
        description: String::new(),
        enable_dynamic_field: false,
        fields,
        version: 0,
        functions: Vec::new(),
    })
}

pub(crate) fn bits(vector: &Vector) -> u8 {
    vector.iter().enumerate().fold(0, |bits, (at, x)| bits | (x & 1) << (7 - at))
}

/// Half-precision bits of 0 to 3.
fn half(x: u8) -> u16 {
    [0, 0x3C00, 0x4000, 0x4200][usize::from(x)]
}

/// A vector as the rows and queries of a type hold it.
pub(crate) fn encoded(data_type: DataType, vector: &Vector) -> Vec<u8> {
    let floats = || vector.iter().map(|&x| f32::from(x));
    match data_type {
        DataType::FloatVector => floats().flat_map(f32::to_le_bytes).collect(),
        DataType::Float16Vector => vector.iter().flat_map(|&x| half(x).to_le_bytes()).collect(),
        DataType::BFloat16Vector => {
            floats().flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes()).collect()
        }
        DataType::Int8Vector => vector.to_vec(),
        DataType::BinaryVector => vec![bits(vector)],
        _ => {
            let pairs = (0u32..).zip(floats()).filter(|(_, x)| *x != 0.0);
            pairs.flat_map(|(at, x)| [at.to_le_bytes(), x.to_le_bytes()].concat()).collect()
        }
    }
}

pub(crate) fn put_keys(record: &mut RecordBuilder, keys: &[i64]) {
    let bytes: Vec<u8> = keys.iter().flat_map(|pk| pk.to_le_bytes()).collect();
    record.fixed(PK, DataType::Int64, 8, &bytes);
}

pub(crate) fn put_columns(record: &mut RecordBuilder, rows: &[&Row]) {
    put_keys(record, &rows.iter().map(|row| row.pk).collect::<Vec<_>>());
    let kinds: Vec<u8> = rows.iter().flat_map(|row| row.kind.unwrap_or(0).to_le_bytes()).collect();
    record.fixed(KIND, DataType::Int64, 8, &kinds);
    if rows.iter().any(|row| row.kind.is_none()) {
        let valid: Vec<u8> = rows.iter().map(|row| u8::from(row.kind.is_some())).collect();
        record.validity(KIND, &valid);
    }
    put_values(record, DOC, DataType::Json, rows.iter().map(|row| row.document()));
    put_values(record, WORD, DataType::VarChar, rows.iter().map(|row| row.word.clone().into()));
    for (field, data_type, _) in VECTORS {
        let values = rows.iter().map(|row| encoded(data_type, &row.vector));
        if data_type == DataType::SparseFloatVector {
            put_values(record, field, data_type, values);
        } else {
            let width = encoded(data_type, &[0; DIM]).len();
            record.fixed(field, data_type, width, &values.flatten().collect::<Vec<u8>>());
        }
    }
}

fn put_values(
    record: &mut RecordBuilder,
    field: FieldId,
    data_type: DataType,
    values: impl Iterator<Item = Vec<u8>>,
) {
    let (mut offsets, mut bytes) = (vec![0u32], Vec::new());
    for value in values {
        bytes.extend(value);
        offsets.push(bytes.len() as u32);
    }
    record.var(field, data_type, &offsets, &bytes);
}

/// The score of a row; none when it is no hit at all.
pub(crate) fn score(
    data_type: DataType,
    metric: Metric,
    query: &Vector,
    row: &Vector,
) -> Option<f64> {
    let pairs = || query.iter().zip(row).map(|(&q, &x)| (f64::from(q), f64::from(x)));
    let product: f64 = pairs().map(|(q, x)| q * x).sum();
    let (q, x) = (bits(query), bits(row));
    Some(match metric {
        Metric::L2 => pairs().map(|(q, x)| (q - x) * (q - x)).sum(),
        Metric::Ip if data_type == DataType::SparseFloatVector && product == 0.0 => return None,
        Metric::Ip | Metric::Bm25 => product,
        Metric::Cosine => {
            let length = |v: &Vector| v.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            let lengths = length(query) * length(row);
            if lengths == 0.0 { 0.0 } else { product / lengths }
        }
        Metric::Hamming => f64::from((q ^ x).count_ones()),
        Metric::Jaccard if q | x == 0 => 0.0,
        Metric::Jaccard => 1.0 - f64::from((q & x).count_ones()) / f64::from((q | x).count_ones()),
        Metric::Substructure if q & x == q => 0.0,
        Metric::Superstructure if q & x == x => 0.0,
        Metric::Substructure | Metric::Superstructure => return None,
    })
}
