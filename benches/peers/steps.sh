# The bench `steps` beside numba, gcc -fopenmp, and ranks of MPI that share a window.
want numpy numba
want_debian gcc mpich libmpich-dev
built="${CARGO_TARGET_DIR:-target}/peers/steps"
mkdir -p "$built"
PARFORK_BENCH_PEERS="numba	$PYTHON benches/peers/steps.py"
if gcc -O3 -march=native -fopenmp benches/peers/steps.c -o "$built/openmp"; then
    PARFORK_BENCH_PEERS+=$'\n'"gcc -fopenmp	env OMP_NUM_THREADS=2 OMP_PROC_BIND=true $built/openmp"
fi
if mpicc -O3 -march=native -DMPI benches/peers/steps.c -o "$built/mpi"; then
    PARFORK_BENCH_PEERS+=$'\n'"MPI shared window	mpiexec -n 2 $built/mpi"
fi
export PARFORK_BENCH_PEERS
# With the vectors that theirs are compiled for.
RUSTFLAGS="-C target-cpu=native" cargo bench --target-dir "${CARGO_TARGET_DIR:-target}/native" --bench steps
