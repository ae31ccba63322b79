"""Trains a classifier of scikit-learn, and saves it after each epoch; "replaced" by a new file."""

import os
import sys
from pathlib import Path

import joblib
import numpy
from sklearn.linear_model import SGDClassifier

directory, options = Path(sys.argv[1]), sys.argv[2:]
state, written = directory / "model.joblib", directory / "new.joblib"
numbers = numpy.random.default_rng(0).normal(size=(100, 1000))
labels = (numbers[:, 0] > 0).astype(int)
epoch, model = joblib.load(state) if state.exists() else (0, SGDClassifier(random_state=0))
while epoch < 3:
    model.partial_fit(numbers, labels, classes=[0, 1])
    epoch += 1
    if "replaced" in options:
        joblib.dump((epoch, model), written)
        with open(written, "rb+") as new:
            os.fsync(new)
        os.replace(written, state)
    else:
        joblib.dump((epoch, model), state)
(directory / "result.txt").write_text(f"{model.coef_.sum():.6f}\n")
