# An empty job while other programs want the CPUs: a crew, rayon, multiprocessing's Pool.
cargo bench --quiet --bench busy
