//! Vectors: deterministic ones, where the same seed gives the same values on every machine, and
//! those of a file.

use std::io;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// `rows` vectors of `dim` values, row-major, each of length 1 and without a preferred direction.
pub fn unit_vectors(rows: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut vectors = vec![0.0; rows * dim];
    for row in vectors.chunks_exact_mut(dim) {
        // The sum of four uniform values is close enough to a normal one.
        row.fill_with(|| (0..4).map(|_| rng.random::<f32>() - 0.5).sum());
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
    }
    vectors
}

/// Vectors of a file: little-endian f32, row-major, of `dim` values each.
///
/// # Errors
/// When the file cannot be read, or does not end with a vector's end.
pub fn read_vectors(file: &Path, dim: usize) -> io::Result<Vec<f32>> {
    let bytes = std::fs::read(file)?;
    if dim == 0 || bytes.is_empty() || !bytes.len().is_multiple_of(4 * dim) {
        let text = format!("{} does not hold vectors of {dim} values", file.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    Ok(values.collect())
}
