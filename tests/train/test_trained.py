import numpy as np
import pytest

import reprise
from reprise.errors import CallError
from reprise.train import configured, notebook
from reprise.train.events import Advanced, Validated
from reprise.train.history import TrainingHistory, draw_plot
from tests.train.small import Events, config, corpus, resumed, trained

SMALL = {"rnn_size": 8, "embedding_size": 5, "seq_length": 6, "batch_size": 3, "checkpoint_every": 3}


def test_training_from_a_program_gives_the_run_with_its_history(tmp_path):
    seen = Events()
    run = reprise.train(corpus(tmp_path), out=tmp_path / "run", max_steps=7, observers=(seen,), show=False, **SMALL)
    assert (run.step, run.best_step, run.why) == (7, 7, "all 7 steps are done")
    assert run.history.columns["step"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert run.history.validation["step"].tolist() == [3, 6, 7]
    assert run.history.best == (7, run.best_loss)
    assert len(seen.losses()) == 7
    assert "nats per character, at step 7" in run._repr_html_()
    longer = reprise.train(out=run.folder, resume=True, max_steps=9, show=False)
    assert len(longer.history.columns["loss"]) == 9


def test_a_run_folder_stands_for_its_best_checkpoint_and_any_other_can_be_chosen(tmp_path):
    trained(tmp_path, max_steps=30, learning_rate=0.5, keep=20)  # so that the last is not the best
    losses = TrainingHistory.load(tmp_path / "run").validation
    best = int(losses["step"][np.argmin(losses["validation_loss"])])
    assert best < 30
    chosen = {which: reprise.restore(tmp_path / "run", checkpoint=which) for which in ("", "best", "last", best, "30")}
    prints = {which: model.fingerprint for which, model in chosen.items()}
    assert prints[""] == prints["best"] == prints[best] != prints["last"] == prints["30"]
    why = f"model.ckpt-{best} is the best of 11 checkpoints by validation; --checkpoint last is model.ckpt-30"
    assert why in chosen[""].stored.notes
    with pytest.raises(CallError, match=r"names one checkpoint\. Name its folder"):
        reprise.restore(tmp_path / "run" / "model.ckpt-30", checkpoint="best")


def test_a_run_ends_when_validations_no_longer_improve(tmp_path):
    events = trained(tmp_path, max_steps=90, learning_rate=0.5, patience=2)
    last, best = events[-1].step, events[-1].best_step
    assert last == best + 6 < 90
    assert events[-1].why == f"2 validations in a row were not better than that of step {best}"
    assert " --patience 4" in events[-1].more
    with pytest.raises(CallError, match="--patience has no effect without validation"):
        config(tmp_path, patience=2, val_frac=0)


def test_a_resumed_run_takes_another_learning_rate_and_says_so(tmp_path):
    trained(tmp_path, max_steps=3)
    events = resumed(tmp_path, max_steps=5, learning_rate=0.01)
    assert "learning rate 0.01 instead of 0.002" in events[0].notes[-1]
    rates = TrainingHistory.load(tmp_path / "run").columns["learning_rate"]
    assert rates.tolist() == pytest.approx([0.002] * 3 + [0.01] * 2)


def test_files_of_numbers_are_forecast_unless_a_level_says_otherwise():
    assert configured({"data": ("a.csv", "b.TSV"), "out": "r"}).level == "values"
    assert configured({"data": ("a.csv",), "out": "r"}).batch_size < 50
    assert configured({"data": ("a.csv",), "out": "r", "level": "characters"}).batch_size == 50
    assert configured({"data": ("a.csv", "b.txt"), "out": "r"}).level == "characters"
    with pytest.raises(CallError, match="there is no option 'epochs'; there are: data, out, model"):
        configured({"data": (), "out": "r", "epochs": 3})


def test_the_plot_marks_the_best_and_shows_what_comes_after_the_first_steps(tmp_path):
    lines = [
        {"step": k, "loss": 100.0 if k < 4 else 2.0, "gradient_norm": 1.0, "learning_rate": 0.1} for k in range(100)
    ]
    lines += [{"step": 50, "validation_loss": 1.5}, {"step": 99, "validation_loss": 1.75}]
    history = TrainingHistory(tmp_path / "quijote", "nats per character", tuple(lines))
    (axes,) = history.plot().axes
    assert (axes.get_title(), axes.get_ylabel()) == ("quijote", "loss (nats per character)")
    assert "best: 1.5 at step 50" in [text.get_text() for text in axes.get_legend().get_texts()]
    assert axes.get_ylim()[1] < 3
    draw_plot(history, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes()[:4] == b"\x89PNG"
    draw_plot(TrainingHistory(tmp_path, "", ()), tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_a_notebook_shows_one_bar_that_moves(tmp_path):
    shown = []

    def show(html):
        shown.append(html)
        return shown.append

    (started, *_, finished) = trained(tmp_path)
    ones = np.ones(1)
    with notebook.Bar(show) as bar:
        bar(started)
        bar._at = 0
        bar(Validated(2, 1.5, True, ""))
        bar(Advanced(2, ones, ones, ones, 1, 1.0))
        bar(finished)
    assert "max='6' value='0'" in shown[0]
    assert "step 2/6 · loss 1.0000, validation 1.5000 (best so far)" in shown[1]
    assert "ended: all 6 steps are done" in shown[2]
