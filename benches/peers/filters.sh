# Filters in memory, beside OpenCV, libvips and fast_image_resize.
want numpy opencv-python-headless 'pyvips[binary]'
"$PYTHON" benches/peers/filters.py
