//! Deterministic vectors: the same seed gives the same values on every machine.

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
