# Work on NumPy arrays from Python: parfork's package beside threads, multiprocessing, concurrent.futures, mpire and joblib.
want maturin numpy cloudpickle mpire joblib scikit-learn
"$PYTHON" -m pip install --quiet --disable-pip-version-check --no-deps ./python
"$PYTHON" -P benches/peers/python.py "$@"
