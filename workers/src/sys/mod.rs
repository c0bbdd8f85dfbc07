//! What kernels need beyond safe Rust: a library's matrix product, and a hint to the CPU.

pub(crate) mod gemm;
pub(crate) mod prefetch;
