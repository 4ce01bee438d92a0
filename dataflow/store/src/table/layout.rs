//! The messages of a table file: schema, record batch and footer, around bodies laid out in order.

use std::collections::HashMap;

use arrow_ipc::convert::IpcSchemaEncoder;
use arrow_ipc::{
    Block, Buffer, FieldNode, FooterBuilder, MessageBuilder, MessageHeader, MetadataVersion,
    RecordBatchBuilder,
};
use arrow_schema::{Field, Schema};
use flatbuffers::FlatBufferBuilder;

use super::input::{Shape, TableColumn};
use super::{MEANING_KEY, VERSION, VERSION_KEY};
use crate::error::WriteError;
use crate::map::ALIGNMENT;

/// What a file begins and ends with.
pub(super) const MAGIC: &[u8; 6] = b"ARROW1";
/// What a message begins with.
pub(super) const CONTINUATION: [u8; 4] = [0xff; 4];
/// Bytes before the flatbuffer of a message: continuation and length.
pub(super) const PREFIX_BYTES: usize = 8;

/// Where everything of the one record batch lies in its body.
pub(super) struct Layout {
    pub(super) rows: usize,
    pub(super) shapes: Vec<Shape>,
    nodes: Vec<FieldNode>,
    buffers: Vec<Buffer>,
    pub(super) body_bytes: usize,
}

/// The next place where a buffer can begin.
pub(super) fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

/// A length as Arrow has it; what was in memory is shorter than 2^63.
fn long(length: usize) -> i64 {
    length as i64
}

impl Layout {
    pub(super) fn of(columns: &[TableColumn<'_>]) -> Result<Layout, WriteError> {
        let mut layout =
            Layout { rows: 0, shapes: vec![], nodes: vec![], buffers: vec![], body_bytes: 0 };
        for (number, column) in columns.iter().enumerate() {
            let shape = column.shape()?;
            if number == 0 {
                layout.rows = shape.rows;
            } else if shape.rows != layout.rows {
                let (name, rows) = (column.name, shape.rows);
                let text = format!("column {name:?} has {rows} rows, not {}", layout.rows);
                return Err(WriteError::Input(text));
            }
            layout.add(column, shape);
        }
        Ok(layout)
    }

    fn add(&mut self, column: &TableColumn<'_>, shape: Shape) {
        let Shape { rows, nulls, bytes } = shape;
        self.nodes.push(FieldNode::new(long(rows), long(nulls)));
        self.buffer(if nulls > 0 { rows.div_ceil(8) } else { 0 });
        if let Some(dim) = column.kind.child_dim() {
            self.nodes.push(FieldNode::new(long(rows * dim as usize), 0));
            self.buffer(0);
        }
        if column.kind.width().is_none() {
            self.buffer((rows + 1) * 4);
        }
        self.buffer(bytes);
        self.shapes.push(shape);
    }

    fn buffer(&mut self, bytes: usize) {
        self.buffers.push(Buffer::new(long(self.body_bytes), long(bytes)));
        self.body_bytes += padded(bytes);
    }

    /// The message in front of the body.
    pub(super) fn message(&self) -> Vec<u8> {
        let mut fbb = FlatBufferBuilder::new();
        let nodes = fbb.create_vector(&self.nodes);
        let buffers = fbb.create_vector(&self.buffers);
        let mut batch = RecordBatchBuilder::new(&mut fbb);
        batch.add_length(long(self.rows));
        batch.add_nodes(nodes);
        batch.add_buffers(buffers);
        let batch = batch.finish();
        let mut message = MessageBuilder::new(&mut fbb);
        message.add_version(MetadataVersion::V5);
        message.add_header_type(MessageHeader::RecordBatch);
        message.add_header(batch.as_union_value());
        message.add_bodyLength(long(self.body_bytes));
        let message = message.finish();
        fbb.finish(message, None);
        fbb.finished_data().to_vec()
    }

    /// The record batch as the footer finds it.
    pub(super) fn block(&self, offset: u64, message_bytes: usize) -> Result<Block, WriteError> {
        let too_long = |_| WriteError::Input("a table of too many columns".into());
        let message_bytes = i32::try_from(message_bytes).map_err(too_long)?;
        Ok(Block::new(offset.cast_signed(), message_bytes, long(self.body_bytes)))
    }
}

/// The schema that readers see. Every column may be null, so that the tables of a collection have
/// the same schema whether or not a row is.
pub(super) fn schema(
    columns: &[TableColumn<'_>],
    metadata: &[(String, String)],
) -> Result<Schema, WriteError> {
    let mut keys = HashMap::from([(VERSION_KEY.to_owned(), VERSION.to_owned())]);
    for (key, value) in metadata {
        if keys.insert(key.clone(), value.clone()).is_some() {
            return Err(WriteError::Input(format!("two metadata values for {key:?}")));
        }
    }
    let mut fields: Vec<Field> = Vec::with_capacity(columns.len());
    for column in columns {
        if fields.iter().any(|field| field.name() == column.name) {
            return Err(WriteError::Input(format!("two columns named {:?}", column.name)));
        }
        let field = Field::new(column.name, column.kind.arrow(), true);
        let meaning = column.kind.meaning().or(column.meaning);
        let meaning = meaning.map(|meaning| (MEANING_KEY.to_owned(), meaning.to_owned()));
        fields.push(field.with_metadata(meaning.into_iter().collect::<HashMap<_, _>>()));
    }
    Ok(Schema::new_with_metadata(fields, keys))
}

/// The message that streams begin with.
pub(super) fn schema_message(schema: &Schema) -> Vec<u8> {
    let mut fbb = FlatBufferBuilder::new();
    let schema = IpcSchemaEncoder::new().schema_to_fb_offset(&mut fbb, schema);
    let mut message = MessageBuilder::new(&mut fbb);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(MessageHeader::Schema);
    message.add_header(schema.as_union_value());
    message.add_bodyLength(0);
    let message = message.finish();
    fbb.finish(message, None);
    fbb.finished_data().to_vec()
}

/// The footer, by which files are opened.
pub(super) fn footer(schema: &Schema, batch: Block) -> Vec<u8> {
    let mut fbb = FlatBufferBuilder::new();
    let dictionaries = fbb.create_vector::<Block>(&[]);
    let batches = fbb.create_vector(&[batch]);
    let schema = IpcSchemaEncoder::new().schema_to_fb_offset(&mut fbb, schema);
    let mut footer = FooterBuilder::new(&mut fbb);
    footer.add_version(MetadataVersion::V5);
    footer.add_schema(schema);
    footer.add_dictionaries(dictionaries);
    footer.add_recordBatches(batches);
    let footer = footer.finish();
    fbb.finish(footer, None);
    fbb.finished_data().to_vec()
}
