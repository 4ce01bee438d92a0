//! Every type of value through a shard: what goes in comes out, nulls and norms included.

use std::sync::Arc;

use millstream_catalog::model::{
    CollectionSchema, DataType, DefaultValue, FieldId, FieldSchema, PartitionId, Timestamp,
};
use proptest::prelude::*;

use super::support::var;
use crate::{
    Batch, ChunkRef, ColumnInput, ColumnSlice, ColumnSpec, Input, Position, ShardWriter, SpecError,
};

const TYPES: [DataType; 15] = [
    DataType::Bool,
    DataType::Int8,
    DataType::Int16,
    DataType::Int32,
    DataType::Float,
    DataType::Double,
    DataType::VarChar,
    DataType::Array,
    DataType::Json,
    DataType::BinaryVector,
    DataType::FloatVector,
    DataType::Float16Vector,
    DataType::BFloat16Vector,
    DataType::SparseFloatVector,
    DataType::Int8Vector,
];
const DIM: u32 = 24;

/// Stands for the norms: a number that depends on the type, the dimension and every byte.
fn digest(data_type: DataType, dim: usize, rows: &[u8], out: &mut [f32]) {
    let width = rows.len() / out.len();
    for (row, out) in rows.chunks(width).zip(out) {
        let sum: u32 = (1..).zip(row).map(|(i, &byte)| i * u32::from(byte)).sum();
        *out = (sum + dim as u32 * 7 + data_type as u32) as f32;
    }
}

fn schema() -> CollectionSchema {
    let mut fields = vec![FieldSchema {
        is_primary: true,
        ..FieldSchema::new(FieldId(100), "id", DataType::Int64)
    }];
    for (id, data_type) in (101..).zip(TYPES) {
        fields.push(FieldSchema {
            dim: if data_type.is_vector() { DIM } else { 0 },
            nullable: !data_type.is_vector(),
            ..FieldSchema::new(FieldId(id), format!("f{id}"), data_type)
        });
    }
    CollectionSchema {
        name: "all".into(),
        description: String::new(),
        enable_dynamic_field: false,
        fields,
        version: 0,
        functions: Vec::new(),
    }
}

type Value = Option<Vec<u8>>;

/// Values of a column, by row.
fn values(field: FieldSchema) -> BoxedStrategy<Vec<Value>> {
    let lengths = field.width().map_or(0..50, |width| width..width + 1);
    let value = prop::collection::vec(any::<u8>(), lengths);
    let row = if field.nullable {
        prop::option::weighted(0.9, value).boxed()
    } else {
        value.prop_map(Some).boxed()
    };
    prop::collection::vec(row, 300).boxed()
}

fn columns() -> impl Strategy<Value = Vec<Vec<Value>>> {
    schema().fields.into_iter().skip(1).map(values).collect::<Vec<_>>()
}

/// The bytes of a row of a column.
fn bytes_of(chunk: &ChunkRef, index: usize, spec: &ColumnSpec, row: usize) -> Value {
    fn of<T: Copy, const N: usize>(
        values: &[T],
        count: usize,
        row: usize,
        le: fn(T) -> [u8; N],
    ) -> Vec<u8> {
        values[row * count..(row + 1) * count].iter().flat_map(|&v| le(v)).collect()
    }
    let dim = spec.dim;
    let (bytes, norm) = match chunk.column(index) {
        ColumnSlice::Bool(v) => (vec![v[row]], None),
        ColumnSlice::Int8(v) => (of(v, 1, row, i8::to_le_bytes), None),
        ColumnSlice::Int16(v) => (of(v, 1, row, i16::to_le_bytes), None),
        ColumnSlice::Int32(v) => (of(v, 1, row, i32::to_le_bytes), None),
        ColumnSlice::Int64(v) => (of(v, 1, row, i64::to_le_bytes), None),
        ColumnSlice::Float(v) => (of(v, 1, row, f32::to_le_bytes), None),
        ColumnSlice::Double(v) => (of(v, 1, row, f64::to_le_bytes), None),
        ColumnSlice::Var { offsets, bytes } => {
            (bytes[offsets[row] as usize..offsets[row + 1] as usize].to_vec(), None)
        }
        ColumnSlice::Vector { data, inv_norms } => {
            (of(data, dim, row, f32::to_le_bytes), Some(inv_norms[row]))
        }
        ColumnSlice::Half { data, inv_norms } | ColumnSlice::BHalf { data, inv_norms } => {
            (of(data, dim, row, u16::to_le_bytes), Some(inv_norms[row]))
        }
        ColumnSlice::Int8s { data, inv_norms } => {
            (of(data, dim, row, i8::to_le_bytes), Some(inv_norms[row]))
        }
        ColumnSlice::Binary { data } => (data[row * dim / 8..(row + 1) * dim / 8].to_vec(), None),
    };
    if let Some(norm) = norm {
        let mut expected = [0.0];
        digest(spec.data_type, dim, &bytes, &mut expected);
        assert_eq!(norm, expected[0], "norm of {:?}", spec.data_type);
    }
    let valid = chunk.validity(index).is_none_or(|valid| valid[row] == 1);
    if !valid {
        assert!(bytes.iter().all(|&b| b == 0) && bytes.len() == spec.width().unwrap_or(0));
    }
    valid.then_some(bytes)
}

/// Appends rows `from..to` of all columns.
fn append(shard: &mut ShardWriter, columns: &[Vec<Value>], (from, to): (usize, usize), seq: u64) {
    let keys: Vec<u8> = (from..to).flat_map(|row| (row as i64).to_le_bytes()).collect();
    let specs = shard.view().specs().to_vec();
    let owned: Vec<_> = specs[1..]
        .iter()
        .zip(columns)
        .map(|(spec, column)| {
            let null = vec![0; spec.width().unwrap_or(0)];
            let rows = &column[from..to];
            let valid: Vec<u8> = rows.iter().map(|row| u8::from(row.is_some())).collect();
            let values = var(rows.iter().map(|row| row.clone().unwrap_or(null.clone())));
            (values, valid)
        })
        .collect();
    let mut inputs = vec![(FieldId(100), ColumnInput::from(Input::Fixed(&keys)))];
    for (spec, ((offsets, bytes), valid)) in specs[1..].iter().zip(&owned) {
        let values = match spec.width() {
            Some(_) => Input::Fixed(bytes),
            None => Input::Var { offsets, bytes },
        };
        let validity = spec.nullable.then_some(&valid[..]);
        inputs.push((spec.field, ColumnInput { values, validity }));
    }
    shard.begin(Position { seq, index: 0 });
    let batch = Batch { rows: to - from, columns: &inputs };
    shard.insert(PartitionId(1), Timestamp(seq), &batch, &mut Vec::new()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn values_of_every_type_come_back_with_their_nulls_across_chunks(
        columns in columns(),
        steps in prop::collection::vec(1usize..120, 1..8),
    ) {
        let (specs, pk) = ColumnSpec::of_schema(&schema()).unwrap();
        let mut shard = ShardWriter::new(specs.clone(), pk, digest);
        let (mut from, mut seq) = (0, 1);
        for step in steps.into_iter().chain([300]) {
            let to = (from + step).min(300);
            if from < to {
                append(&mut shard, &columns, (from, to), seq);
            }
            (from, seq) = (to, seq + 1);
        }
        let selection = shard.view().select(Timestamp(u64::MAX - 1), &[]);
        prop_assert_eq!(selection.count(), 300);
        for number in 0..300u32 {
            let (chunk, row) = selection.locate(number);
            for (index, spec) in specs.iter().enumerate().skip(1) {
                let expected = &columns[index - 1][number as usize];
                prop_assert_eq!(&bytes_of(chunk, index, spec, row), expected, "{:?}", spec);
            }
        }
    }
}

#[test]
fn fields_of_functions_have_no_column_and_defaults_have_the_form_of_a_batch() {
    let mut schema = schema();
    schema.fields.truncate(1);
    let field = |id, data_type, default| FieldSchema {
        default_value: Some(default),
        ..FieldSchema::new(FieldId(id), format!("f{id}"), data_type)
    };
    schema.fields.extend([
        field(101, DataType::Bool, DefaultValue::Bool(true)),
        field(102, DataType::Int16, DefaultValue::Int(-2)),
        field(103, DataType::Float, DefaultValue::FloatBits(1.5f64.to_bits())),
        field(104, DataType::Double, DefaultValue::FloatBits(1.5f64.to_bits())),
        field(105, DataType::VarChar, DefaultValue::Text("x".into())),
        FieldSchema {
            is_function_output: true,
            ..FieldSchema::new(FieldId(106), "bm25", DataType::SparseFloatVector)
        },
    ]);
    // The primary key is found also when a field without a column comes before it.
    schema.fields.rotate_right(1);
    let (specs, pk) = ColumnSpec::of_schema(&schema).unwrap();
    assert_eq!((specs[pk].field, specs.len()), (FieldId(100), 6));
    let defaults: Vec<Option<Arc<[u8]>>> = specs.into_iter().map(|spec| spec.default).collect();
    let expected: [&[u8]; 5] =
        [&[1], &[254, 255], &1.5f32.to_le_bytes(), &1.5f64.to_le_bytes(), b"x"];
    assert_eq!(defaults[0], None);
    let defaults: Vec<&[u8]> = defaults[1..].iter().map(|d| d.as_deref().unwrap()).collect();
    assert_eq!(defaults, expected);
}

#[test]
fn a_vector_without_a_dimension_has_no_column() {
    let mut schema = schema();
    schema.fields[11].dim = 0;
    let (field, data_type) = (schema.fields[11].id, schema.fields[11].data_type);
    let refused = ColumnSpec::of_schema(&schema);
    assert_eq!(refused, Err(SpecError::Unsupported { field, data_type }));
}

#[test]
fn a_few_values_of_great_length_take_little_more_room_than_they_are_long() {
    let mut schema = schema();
    schema.fields.retain(|f| matches!(f.data_type, DataType::Int64 | DataType::SparseFloatVector));
    let (specs, pk) = ColumnSpec::of_schema(&schema).unwrap();
    let mut shard = ShardWriter::new(specs, pk, digest);
    let column: Vec<Value> = vec![Some(vec![7; 6 << 20]); 6];
    append(&mut shard, &[column], (0, 6), 1);
    let selection = shard.view().select(Timestamp(1), &[]);
    assert_eq!((selection.count(), selection.chunks.len()), (6, 6));
}
