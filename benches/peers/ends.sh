# Whole commands from file to file, beside scripts and commands that do the same. Arguments: rounds, then sections, as in ends.py.
want numpy opencv-python-headless pillow scikit-image 'pyvips[binary]'
want_debian libvips-tools imagemagick
cargo build --release --quiet -p parfork-cli
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$PYTHON" benches/peers/ends.py "${CARGO_TARGET_DIR:-target}/release/parfork" "$work" "$@"
