//! Building lists: centroids, the list of each row, and codes in the order of the lists.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use millstream_catalog::model::{DataType, Metric};

use super::centroids::{Centroids, Crew, Points, assign};
use super::layout::{HEADER_BYTES, Header, Layout, ROWS_MAX, SECTIONS, is_for};
use super::train::{by_list, train};
use super::{IvfError, IvfKind, IvfParams, LIST_ROWS_MIN, NLIST_MAX};
use crate::graph::codes::{Codes, Scale, stride_of};
use crate::graph::layout::put_words;
use crate::graph::source::Source;
use crate::scan::Vectors;

/// Rows that a thread codes at a time.
const PART_ROWS: usize = 1024;

/// Builds lists with `threads` threads of its own: `vectors` are row-major, of `dim` dimensions;
/// `inv_norms` are read under COSINE only, as [`crate::inv_norms_of`] computes them.
///
/// The bytes are the same every time. `progress` follows the rows that are in their lists. When
/// `cancel` becomes true the threads stop soon.
///
/// # Errors
/// [`IvfError::Param`] if nlist or `dim` is out of bounds, or there are more than 2^30 rows;
/// [`IvfError::Vectors`] if the kind is not for such vectors or the metric;
/// [`IvfError::Cancelled`] if it was cancelled.
///
/// # Panics
/// If `vectors` has no whole number of rows, or under COSINE `inv_norms` is shorter.
#[expect(clippy::too_many_arguments, reason = "the vectors, how to build, and two signals")]
pub fn build(
    vectors: Vectors<'_>,
    dim: usize,
    inv_norms: &[f32],
    metric: Metric,
    params: IvfParams,
    threads: usize,
    cancel: &AtomicBool,
    progress: &AtomicU64,
) -> Result<Vec<u8>, IvfError> {
    let source = Source { vectors, dim, inv_norms, metric };
    let points = Points { source, rows: check(&source, params)? };
    let crew = Crew { threads, cancel };
    let rows = points.rows;
    let lists = params.nlist.min(rows / LIST_ROWS_MIN).max(1);
    let centroids = match rows {
        0 => no_centroids(params.kind, dim),
        _ => train(&points, lists, crew)?,
    };
    let done = |rows: usize| {
        progress.fetch_add(rows as u64, Ordering::Relaxed);
    };
    let nearest = assign(&points, &centroids, crew, done)?;
    let list_of: Vec<u32> = nearest.iter().map(|nearest| nearest.list).collect();
    drop(nearest);
    let (ends, members) = by_list(&list_of, lists);
    let header = Header {
        kind: params.kind,
        metric,
        dim,
        rows,
        nlist: params.nlist,
        lists,
        step: 0.0,
        coded: false,
        sums: [0; SECTIONS],
    };
    let codes = match params.kind {
        IvfKind::Sq8 if rows > 0 => code(&source, &members, crew)?,
        _ => None,
    };
    Ok(lay_out(header, &centroids, &ends, &members, codes))
}

/// The number of rows.
///
/// # Errors
/// What [`build`] says.
pub(super) fn check(source: &Source<'_>, params: IvfParams) -> Result<usize, IvfError> {
    let (data_type, values, of_row) = match source.vectors {
        Vectors::Float(values) => (DataType::FloatVector, values.len(), source.dim),
        Vectors::Half(values) => (DataType::Float16Vector, values.len(), source.dim),
        Vectors::BHalf(values) => (DataType::BFloat16Vector, values.len(), source.dim),
        Vectors::Int8(values) => (DataType::Int8Vector, values.len(), source.dim),
        Vectors::Binary(bytes) => (DataType::BinaryVector, bytes.len(), source.dim / 8),
        Vectors::Sparse { .. } => (DataType::SparseFloatVector, 0, 1),
    };
    let metric = source.metric;
    let bits = data_type == DataType::BinaryVector;
    let fits = bits == (params.kind == IvfKind::Bits) && data_type != DataType::SparseFloatVector;
    let Some(dims) = is_for(params.kind, metric).filter(|_| fits) else {
        return Err(IvfError::Vectors { data_type, metric });
    };
    let rows = values / of_row.max(1);
    let bounds = [
        ("dim", source.dim, *dims.start(), *dims.end()),
        ("nlist", params.nlist, 1, NLIST_MAX),
        ("number of rows", rows, 0, ROWS_MAX),
    ];
    for (name, value, least, greatest) in bounds {
        if value < least || value > greatest {
            return Err(IvfError::Param { name, value, least, greatest });
        }
    }
    assert!(!bits || source.dim.is_multiple_of(8), "whole bytes");
    assert_eq!(values, rows * of_row, "whole rows");
    let cosine = metric == Metric::Cosine;
    assert!(!cosine || source.inv_norms.len() >= rows, "one inverse norm per row");
    Ok(rows)
}

/// The centroid of the one list of no rows.
fn no_centroids(kind: IvfKind, dim: usize) -> Centroids {
    match kind {
        IvfKind::Bits => Centroids::Bits(vec![0; dim / 8]),
        IvfKind::Flat | IvfKind::Sq8 => Centroids::Numbers(vec![0.0; dim]),
    }
}

/// The records of rows in the order given, and their scale; none if they are too coarse.
fn code(
    source: &Source<'_>,
    members: &[u32],
    crew: Crew<'_>,
) -> Result<Option<(Scale, Vec<u8>)>, IvfError> {
    let (low, high) = source.bounds(members.len());
    let scale = Scale::spanning(source.metric, &low, &high);
    let stride = stride_of(source.dim);
    let mut bytes = vec![0; members.len() * stride];
    let memory = || vec![0.0; source.dim];
    crew.each_part(&mut bytes, PART_ROWS * stride, memory, |start, records, row| {
        let members = &members[start / stride..];
        for (record, &member) in records.chunks_mut(stride).zip(members) {
            source.row(member as usize, row);
            scale.encode(row, record);
        }
    })?;
    let codes = Codes::new(source.metric, source.dim, &bytes);
    let coarse = source.is_coarse(&scale, &codes, members.len(), |place| members[place] as usize);
    Ok((!coarse).then_some((scale, bytes)))
}

/// The bytes of the whole.
fn lay_out(
    mut header: Header,
    centroids: &Centroids,
    ends: &[u32],
    members: &[u32],
    codes: Option<(Scale, Vec<u8>)>,
) -> Vec<u8> {
    header.coded = codes.is_some();
    header.step = codes.as_ref().map_or(0.0, |(scale, _)| scale.step);
    let layout = Layout::new(&header);
    let mut file = vec![0; layout.bytes()];
    match centroids {
        Centroids::Bits(bytes) => file[layout.centroids.clone()].copy_from_slice(bytes),
        Centroids::Numbers(values) => {
            put_words(&mut file[layout.centroids.clone()], values.iter().map(|x| x.to_bits()));
        }
    }
    put_words(&mut file[layout.ends.clone()], ends.iter().copied());
    put_words(&mut file[layout.rows.clone()], members.iter().copied());
    if let Some((scale, bytes)) = codes {
        let centre = scale.centre.iter().map(|x| x.to_bits());
        put_words(&mut file[layout.centre.clone()], centre);
        file[layout.codes.clone()].copy_from_slice(&bytes);
    }
    for (sum, section) in header.sums.iter_mut().zip(&layout.sections) {
        *sum = crc32c::crc32c(&file[section.clone()]);
    }
    file[..HEADER_BYTES].copy_from_slice(&header.encode());
    file
}
