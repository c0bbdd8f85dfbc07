# Filters in memory, beside OpenCV, libvips and fast_image_resize. Arguments: rounds, then kinds of pictures and filters, as in filters.py.
want numpy opencv-python-headless 'pyvips[binary]'
"$PYTHON" benches/peers/filters.py "$@"
