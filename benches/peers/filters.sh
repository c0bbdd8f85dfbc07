# Filters in memory, beside OpenCV, libvips and fast_image_resize.
want numpy opencv-python-headless 'pyvips[binary]'
cargo build --release --quiet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$PYTHON" benches/peers/filters.py "${CARGO_TARGET_DIR:-target}/release/parfork" "$work"
