"""
Estimators with a proven training loss
======================================

Diabetes patients: predict the progression of the disease. Run it cell by cell in an editor that knows ``# %%``, or as a
script: ``python examples/estimators.py``. It needs the extra ``sklearn`` and takes about half a minute.
"""

import warnings

from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cpcert import load_instance, verify
from cpcert.estimators import CertifiedMLPClassifier, CertifiedMLPRegressor
from cpcert.instance import shipped_instances

raw = load_instance(shipped_instances()["diabetes-40"]).data.model_copy(
    update={"points": 120, "features": 3, "standardize": False, "standardize_targets": False}
)
X, y = raw.arrays(None)
X_train, X_test, y_train, y_test = train_test_split(X, y[:, 0], random_state=0)

# %%
# One fit: the loss of the network is the global minimum over networks of *any* width, up to the gap. How many neurons it has is a
# result, not a parameter.

model = CertifiedMLPRegressor(lam=3e-2, gap=1e-2, time_limit=20, certificate=True).fit(X_train, y_train)
print(f"minimum in [{model.bounds_[0]:.6f}, {model.bounds_[1]:.6f}], gap {model.gap_:.1e}, {model.width_} neurons")
print(f"R² on other patients: {model.score(X_test, y_test):.2f}")

# %%
# The certificate can be checked by anyone, without this library's solver.

print(verify(model.certificate_).sentence())

# %%
# λ by cross-validation. Loose gaps will do while searching; fits that run out of time say so.

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), CertifiedMLPRegressor(gap=0.2, time_limit=2)),
        {"certifiedmlpregressor__lam": [0.3, 0.1, 0.03]},
        cv=3,
    ).fit(X_train, y_train)
print(search.best_params_, f"R² {search.score(X_test, y_test):.2f}")

# %%
# Classification, with labels of any type.

severe = CertifiedMLPClassifier(lam=3e-2, gap=0.05, time_limit=10).fit(
    X_train, ["severe" if t > 150 else "mild" for t in y_train]
)
print(severe.classes_, severe.predict(X_test[:4]), severe.predict_proba(X_test[:2]).round(2))
print(f"minimum in [{severe.bounds_[0]:.4f}, {severe.bounds_[1]:.4f}]")

# %%
# The network as a torch module, in the units of the data.

print(model.network_, "->", model.network_.to_torch())
