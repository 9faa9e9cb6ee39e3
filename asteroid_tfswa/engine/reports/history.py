"""The numbers of each epoch of a training run, as a table and as curves."""

import csv

from pytorch_lightning.callbacks import Callback

from asteroid_tfswa.files import atomic_write

TABLE, CURVES = "history.csv", "curves.png"


class History(Callback):
    """Writes `history.csv`, a row for each epoch.

    The rows are part of the checkpoints. So however a run was stopped, the table has each epoch
    that it continued from once, and none twice.

    Args:
        folder (Path): of the training run.
        meter (Meter): measures the epochs; comes before this among the callbacks.
    """

    def __init__(self, folder, meter):
        self.folder, self.meter = folder, meter
        self.rows = []

    def state_dict(self):
        """Return the rows so far, for a checkpoint."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state_dict):
        """Continue after the rows of a checkpoint."""
        self.rows = [dict(row) for row in state_dict["rows"]]

    def on_train_epoch_end(self, trainer, pl_module):
        """Add the row of an epoch."""
        epoch = trainer.current_epoch + 1
        row = {"epoch": epoch, "step": trainer.global_step}
        row["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        row["train_loss"] = trainer.callback_metrics["train_loss"].item()
        if epoch % trainer.check_val_every_n_epoch == 0:
            row |= pl_module.metrics
        self.rows.append(row | self.meter.epoch)
        if trainer.is_global_zero:
            self._write()

    def _write(self):
        columns = dict.fromkeys(key for row in self.rows for key in row)
        with atomic_write(self.folder / TABLE) as tmp:
            with open(tmp, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(columns))
                writer.writeheader()
                writer.writerows(self.rows)


def read_history(folder):
    """Read the table of a training run.

    Args:
        folder (Path): of the run.

    Returns:
        list of dict: a row for each epoch, {name: number}, without what was not measured; empty
        without a table.
    """
    if not (folder / TABLE).exists():
        return []
    with open(folder / TABLE, newline="", encoding="utf-8") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def draw_curves(folder):
    """Draw losses and scores over the epochs into `curves.png`.

    Args:
        folder (Path): of the training run; nothing is drawn without a table.
    """
    # Imported here, since it takes a while and only the end of a run needs it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = read_history(folder)
    names = list(dict.fromkeys(name for row in rows for name in row))
    charts = {"loss": [n for n in ("train_loss", "val_loss") if n in names]}
    for kind in ("val_usdr", "val_csdr"):
        charts[f"{kind} in dB"] = [n for n in names if n.partition("/")[0] == kind]
    charts = {title: shown for title, shown in charts.items() if shown}
    if not charts:
        return
    figure = Figure(figsize=(5 * len(charts), 4), layout="constrained")
    row_of_axes = figure.subplots(1, len(charts), squeeze=False)[0]
    for axes, (title, shown) in zip(row_of_axes, charts.items()):
        for name in shown:
            points = [(row["epoch"], row[name]) for row in rows if name in row]
            label = name.partition("/")[2] or ("mean" if name != title and "dB" in title else name)
            # Between two dollar signs matplotlib would read a formula.
            axes.plot(*zip(*points), marker=".", label=label.replace("$", r"\$"))
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
        axes.legend()
    with atomic_write(folder / CURVES) as tmp:
        FigureCanvasAgg(figure).print_png(str(tmp))
