# The bench `kernels` with NumPy as it comes, and with its OpenBLAS told that the CPU has AVX-512, where it has. Arguments: as that
# bench's, `product` and `reduce` if none.
want numpy
if "$PYTHON" -c "import numpy" 2>/dev/null; then
    numpy="env OPENBLAS_NUM_THREADS=2 $PYTHON benches/peers/kernels.py"
    PARFORK_BENCH_PEERS="numpy	$numpy"
    if grep -q avx512dq /proc/cpuinfo; then
        PARFORK_BENCH_PEERS+=$'\n'"numpy, SkylakeX	env OPENBLAS_CORETYPE=SkylakeX ${numpy#env }"
    fi
    export PARFORK_BENCH_PEERS
fi
[ $# -gt 0 ] || set -- product reduce sort
cargo bench --quiet -p parfork-workers --features peers --bench kernels -- "$@"
