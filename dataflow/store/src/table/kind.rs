//! `ColumnKind`: what a column holds, and the Arrow type that says so.

use std::sync::Arc;

use arrow_schema::{DataType, Field};

/// The meaning of booleans, which Arrow would otherwise store as bits.
const BOOL: &str = "bool";

/// What a column holds, by its place in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// 0 or 1, one byte a row; Arrow's UInt8 with the meaning `bool`.
    Bool,
    /// Int8.
    Int8,
    /// Int16.
    Int16,
    /// Int32.
    Int32,
    /// Int64.
    Int64,
    /// UInt32.
    UInt32,
    /// UInt64.
    UInt64,
    /// Float32.
    Float32,
    /// Float64.
    Float64,
    /// `dim` f32 a row, row-major; Arrow's FixedSizeList of Float32.
    FloatVector {
        /// Components of a row.
        dim: u32,
    },
    /// `dim` i8 a row, row-major; Arrow's FixedSizeList of Int8.
    Int8Vector {
        /// Components of a row.
        dim: u32,
    },
    /// `width` bytes a row; Arrow's FixedSizeBinary.
    Fixed {
        /// Bytes of a row.
        width: u32,
    },
    /// UTF-8 text of different lengths, less than 2 GiB together; Arrow's Utf8.
    Utf8,
    /// Bytes of different lengths, less than 2 GiB together; Arrow's Binary.
    Binary,
}

impl ColumnKind {
    /// Bytes of a row; none where rows have different lengths.
    pub fn width(self) -> Option<usize> {
        Some(match self {
            ColumnKind::Bool | ColumnKind::Int8 => 1,
            ColumnKind::Int16 => 2,
            ColumnKind::Int32 | ColumnKind::UInt32 | ColumnKind::Float32 => 4,
            ColumnKind::Int64 | ColumnKind::UInt64 | ColumnKind::Float64 => 8,
            ColumnKind::FloatVector { dim } => dim as usize * 4,
            ColumnKind::Int8Vector { dim } => dim as usize,
            ColumnKind::Fixed { width } => width as usize,
            ColumnKind::Utf8 | ColumnKind::Binary => return None,
        })
    }

    /// Components of a row that are a column of their own for Arrow.
    pub(super) fn child_dim(self) -> Option<u32> {
        match self {
            ColumnKind::FloatVector { dim } | ColumnKind::Int8Vector { dim } => Some(dim),
            _ => None,
        }
    }

    /// The meaning that a column of this kind always has.
    pub(super) fn meaning(self) -> Option<&'static str> {
        (self == ColumnKind::Bool).then_some(BOOL)
    }

    /// Arrow's type; widths and dims fit in 31 bits.
    pub(super) fn arrow(self) -> DataType {
        let list = |item, dim: u32| {
            DataType::FixedSizeList(Arc::new(Field::new("item", item, false)), dim.cast_signed())
        };
        match self {
            ColumnKind::Bool => DataType::UInt8,
            ColumnKind::Int8 => DataType::Int8,
            ColumnKind::Int16 => DataType::Int16,
            ColumnKind::Int32 => DataType::Int32,
            ColumnKind::Int64 => DataType::Int64,
            ColumnKind::UInt32 => DataType::UInt32,
            ColumnKind::UInt64 => DataType::UInt64,
            ColumnKind::Float32 => DataType::Float32,
            ColumnKind::Float64 => DataType::Float64,
            ColumnKind::FloatVector { dim } => list(DataType::Float32, dim),
            ColumnKind::Int8Vector { dim } => list(DataType::Int8, dim),
            ColumnKind::Fixed { width } => DataType::FixedSizeBinary(width.cast_signed()),
            ColumnKind::Utf8 => DataType::Utf8,
            ColumnKind::Binary => DataType::Binary,
        }
    }

    /// The kind of a column in a file; none for types that are never written.
    pub(super) fn of(field: &arrow_ipc::Field<'_>, meaning: Option<&str>) -> Option<ColumnKind> {
        if field.dictionary().is_some() {
            return None;
        }
        let size = |size: i32| u32::try_from(size).ok().filter(|size| *size > 0);
        Some(match field.type_type() {
            arrow_ipc::Type::Int => {
                let int = field.type_as_int()?;
                match (int.bitWidth(), int.is_signed()) {
                    (8, false) if meaning == Some(BOOL) => ColumnKind::Bool,
                    (8, true) => ColumnKind::Int8,
                    (16, true) => ColumnKind::Int16,
                    (32, true) => ColumnKind::Int32,
                    (64, true) => ColumnKind::Int64,
                    (32, false) => ColumnKind::UInt32,
                    (64, false) => ColumnKind::UInt64,
                    _ => return None,
                }
            }
            arrow_ipc::Type::FloatingPoint => match field.type_as_floating_point()?.precision() {
                arrow_ipc::Precision::SINGLE => ColumnKind::Float32,
                arrow_ipc::Precision::DOUBLE => ColumnKind::Float64,
                _ => return None,
            },
            arrow_ipc::Type::FixedSizeList => {
                let dim = size(field.type_as_fixed_size_list()?.listSize())?;
                let children = field.children().filter(|children| children.len() == 1)?;
                let child = children.get(0);
                // A list of lists is no kind, so this goes no deeper.
                if child.type_type() == arrow_ipc::Type::FixedSizeList {
                    return None;
                }
                match ColumnKind::of(&child, None)? {
                    ColumnKind::Float32 => ColumnKind::FloatVector { dim },
                    ColumnKind::Int8 => ColumnKind::Int8Vector { dim },
                    _ => return None,
                }
            }
            arrow_ipc::Type::FixedSizeBinary => {
                ColumnKind::Fixed { width: size(field.type_as_fixed_size_binary()?.byteWidth())? }
            }
            arrow_ipc::Type::Utf8 => ColumnKind::Utf8,
            arrow_ipc::Type::Binary => ColumnKind::Binary,
            _ => return None,
        })
    }
}
