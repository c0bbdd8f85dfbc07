# A folder of photographs made smaller, beside libvips, ImageMagick and Pillow on two processes.
want numpy pillow scikit-image
want_debian libvips-tools imagemagick parallel
cargo build --release --quiet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$PYTHON" benches/peers/batch.py "${CARGO_TARGET_DIR:-target}/release/parfork" "$work" "$@"
