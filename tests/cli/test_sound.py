"""Sound through models: sample by sample, frame by frame, with the state carried to the end."""

import io
import struct
import wave as standard

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reprise
from reprise import sound
from reprise.errors import CallError
from reprise.wire import onnx, wave
from reprise.wire.varint import Cut
from tests.foreign.building import numbers, save, tensors, value
from tests.formats.test_state_dicts import amplifier

F, H = 6, 4


def by_frames(path, outputs=F, frame=F):
    """frame [N, F] → y [N, outputs], with a state that each frame changes."""
    nodes = [
        onnx.node("MatMul", ["x", "W"], ["w"]),
        onnx.node("MatMul", ["h", "R"], ["r"]),
        onnx.node("Add", ["w", "r"], ["s"]),
        onnx.node("Tanh", ["s"], ["h2"]),
        onnx.node("MatMul", ["h2", "O"], ["y"]),
    ]
    held = tensors(W=numbers(frame, H), R=numbers(H, H, seed=1), O=numbers(H, outputs, seed=2))
    return save(path, nodes, [value("x", "n", frame), value("h", "n", H)], ["y", "h2"], held)


def frames_by_hand(samples, hop=F, context=0, outputs=F):
    """The outputs of every frame and the last state."""
    held, h, rows = np.concatenate([np.zeros(context), samples]), np.zeros(H), []
    w, r, o = numbers(F + context, H), numbers(H, H, seed=1), numbers(H, outputs, seed=2)
    begin = 0
    while begin == 0 or begin + F + context - hop < len(held):
        x = np.zeros(F + context)
        part = held[begin : begin + F + context]
        x[: len(part)] = part
        h = np.tanh(x @ w + h @ r)
        rows.append(h @ o)
        begin += hop
    return np.stack(rows), h


def played(model, pieces, **sizes):
    along, kept = sound.sound_path(model, **sizes), []
    results = list(sound.through(model, pieces, along, keep=kept.append))
    return along, results, kept[0]


@pytest.mark.parametrize("cuts", [[], [1, 2, 17], [20]])
def test_samples_are_the_steps_of_a_model_of_one_number(tmp_path, cuts):
    amplifier(tmp_path / "m.nam")
    model, x = reprise.restore(tmp_path / "m.nam"), numbers(40)
    along, results, state = played(model, np.split(x, cuts))
    whole, last = model.run(x[None, :, None])
    np.testing.assert_allclose(np.concatenate(list(sound.overlap_add(results, along))), whole["head"][0], rtol=1e-5)
    for name in last:
        np.testing.assert_allclose(state[name], last[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("length", [3, F, 4 * F, 4 * F + 1])
@pytest.mark.parametrize("hop", [F, 2])
@pytest.mark.parametrize("context", [0, 3])
def test_frames_overlap_and_have_a_context(tmp_path, length, hop, context):
    model = reprise.restore(by_frames(tmp_path / "m.onnx", frame=F + context))
    x = numbers(length)
    _, results, state = played(model, [x[:2], x[2:]], frame=F, hop=hop, context=context)
    rows, h = frames_by_hand(x, hop, context)
    np.testing.assert_allclose(np.concatenate(results), rows, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(next(iter(state.values()))[0], h, rtol=1e-4, atol=1e-5)


def test_overlapping_frames_are_added(tmp_path):
    model = reprise.restore(by_frames(tmp_path / "m.onnx"))
    x = numbers(4 * F)
    along, results, _ = played(model, [x], hop=2)
    rows, _ = frames_by_hand(x, 2)
    wanted = np.zeros(len(x))
    for k, row in enumerate(rows):
        wanted[2 * k : 2 * k + F] += row
    found = np.concatenate(list(sound.overlap_add(results, along)))[:, 0]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("frame", "sizes", "words"),
    [
        (F, {"frame": 5}, r"takes 6 numbers a step; found a frame of 5 with 0 before it"),
        (F, {"hop": 7}, r"hop: expected 1 to 6, the size of a frame, found 7"),
        (257, {}, r"takes 257 numbers a step, as many as a spectrum has bands"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(tmp_path, frame, sizes, words):
    model = reprise.restore(by_frames(tmp_path / "m.onnx", frame=frame))
    with pytest.raises(CallError, match=words):
        sound.sound_path(model, **sizes)


# On the command line


def written(path, samples, rate=48000, width=2, channels=1):
    with standard.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
    return path


def samples_of(path):
    return np.concatenate(list(wave.open_wave(path).pieces(7)))


@pytest.fixture(name="command")
def _command(reprise):
    return reprise


@pytest.fixture
def amp(tmp_path):
    amplifier(tmp_path / "m.nam")
    return tmp_path / "m.nam"


def test_a_file_goes_through_an_amplifier_and_on(command, tmp_path, amp):
    x = numbers(9000) * 0.1
    half = [written(tmp_path / f"{k}.wav", part) for k, part in enumerate(np.split(x, 2))]
    whole = written(tmp_path / "x.wav", x)
    state = tmp_path / "s.safetensors"
    assert command("run", amp, whole, tmp_path / "y.wav") == (0, "", "")
    command("run", amp, half[0], tmp_path / "y0.wav", "--save-state", state)
    command("run", amp, half[1], tmp_path / "y1.wav", "--state", state)
    parts = np.concatenate([samples_of(tmp_path / f"y{k}.wav") for k in (0, 1)])
    np.testing.assert_array_equal(samples_of(tmp_path / "y.wav"), parts)
    given = samples_of(whole)
    wanted = reprise.restore(amp).run(given[None])[0]["head"][0]
    np.testing.assert_allclose(parts, np.clip(wanted, -1, 1), atol=1 / 32768)


@pytest.mark.parametrize("ending", ["csv", "npz"])
def test_what_is_no_sound_is_written_as_numbers(command, tmp_path, ending):
    by_frames(tmp_path / "m.onnx", outputs=1)
    x = written(tmp_path / "x.wav", numbers(20) * 0.1, rate=100)
    result = command("run", tmp_path / "m.onnx", x, tmp_path / f"y.{ending}", "--hop", "2")
    assert "note: nothing says for which rate the model was made; " in result.err
    rows, _ = frames_by_hand(samples_of(x)[:, 0], 2, outputs=1)
    if ending == "csv":
        head, *lines = (tmp_path / "y.csv").read_text().splitlines()
        assert head == "seconds,y"
        table = np.array([[float(n) for n in line.split(",")] for line in lines])
        np.testing.assert_allclose(table[:, 0], np.arange(len(rows)) * 0.02, atol=1e-6)
        np.testing.assert_allclose(table[:, 1:], rows, rtol=1e-4, atol=1e-5)
    else:
        np.testing.assert_allclose(np.load(tmp_path / "y.npz")["y"], rows, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rate": 44100}, "has 44100 samples a second, and the model is for 48000 (the file says so)"),
        ({"channels": 2}, "expected one channel with samples, found 2 channels of 10 samples"),
    ],
)
def test_another_rate_and_two_channels_are_refused(command, tmp_path, amp, options, words):
    result = command("run", amp, written(tmp_path / "x.wav", numbers(20) * 0.1, **options), tmp_path / "y.wav")
    assert result.code == 1
    assert words in result.err
    assert not (tmp_path / "y.wav").exists()


def test_frames_that_give_no_frame_are_no_sound(command, tmp_path):
    by_frames(tmp_path / "m.onnx", outputs=1)
    x = written(tmp_path / "x.wav", numbers(20) * 0.1)
    result = command("run", tmp_path / "m.onnx", x, tmp_path / "y.wav")
    assert (
        "gives 1 numbers for 6 samples, so it is not sound; name a file for them that ends in .csv or .npz"
        in result.err
    )
    assert not (tmp_path / "y.wav").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("m", "x.wav", "y.mp3"), "OUT: expected a file to write that ends in .wav, .csv, .npz, found 'y.mp3'"),
        (("m", "x.wav"), "expected either a WAV file and a file to write, or --inputs and --outputs"),
        (("m", "no.wav", "y.wav"), "no.wav: cannot be read (No such file or directory); expected a WAV file"),
    ],
)
def test_what_cannot_be_done_is_said(command, arguments, words):
    assert words in command("run", *arguments).err


# Files


@given(st.data())
@settings(deadline=None, max_examples=50)
def test_stored_samples_come_back(data):
    kind, bits = data.draw(st.sampled_from([(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)]))
    layout = wave.SampleLayout(kind, bits, data.draw(st.integers(1, 3)), 8000)
    count = data.draw(st.integers(1, 40))
    samples = np.random.default_rng(count).uniform(-0.9, 0.9, (count, layout.channels)).astype(np.float32)
    content, cut = wave.encode_samples(samples, layout)
    back = wave._numbers(content, layout).reshape(count, -1)
    assert (len(content), cut) == (count * layout.size, 0)
    np.testing.assert_allclose(back, samples, atol=2.0 ** (1 - bits) if kind == 1 else 0)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_files_of_the_standard_library_are_read_and_written_alike(tmp_path, width):
    data = np.random.default_rng(width).integers(0, 256, 24 * width, np.uint8).tobytes()
    with standard.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(16000)
        file.writeframes(data)
    found = wave.open_wave(tmp_path / "a.wav")
    (samples,) = found.pieces(100)
    out = io.BytesIO()
    wave.write_head(out, found.layout, found.count)
    out.write(wave.encode_samples(samples, found.layout)[0])
    if width < 4:  # float32 holds 24 bits
        assert out.getvalue() == (tmp_path / "a.wav").read_bytes()
    with standard.open(str(tmp_path / "a.wav"), "rb") as file:
        assert (file.getframerate(), file.getnframes()) == (found.layout.rate, found.count)


def test_samples_beyond_full_scale_are_cut_and_counted():
    content, cut = wave.encode_samples(np.array([[1.5], [-2.0], [0.5]], np.float32), wave.SampleLayout(1, 16, 1, 8000))
    assert (np.frombuffer(content, "<i2").tolist(), cut) == ([32767, -32768, 16384], 2)


def test_the_extensible_head_and_other_chunks_are_read(tmp_path):
    form = struct.pack("<HHIIHH", 0xFFFE, 1, 8000, 32000, 4, 32) + struct.pack("<HHIH14s", 22, 32, 4, 3, b"\0" * 14)
    chunks = b"LIST\3\0\0\0abc\0" + b"fmt " + struct.pack("<I", len(form)) + form + b"data\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(b"RIFF\0\0\0\0WAVE" + chunks + np.float32([0.25, -2]).tobytes())
    np.testing.assert_array_equal(samples_of(tmp_path / "a.wav"), [[0.25], [-2]])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"ID3", "it does not begin as a WAV file"),
        (b"RIFF\0\0\0\0WAVE", "it has no samples"),
        (b"RIFF\0\0\0\0WAVEfmt \2\0\0\0ab", "its head is cut"),
        (
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 7, 1, 8000, 8000, 1, 8) + b"data\0\0\0\0",
            "8 bits of the kind 7 for 1 channels are not read",
        ),
        (
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8) + b"data\x09\0\0\0abc",
            "its samples take 9 bytes, of which 3 are there",
        ),
    ],
)
def test_what_is_no_whole_file_is_refused(tmp_path, content, words):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(Cut, match=words):
        wave.open_wave(tmp_path / "a.wav")
