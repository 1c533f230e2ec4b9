"""Products of matrices and what looks at rows and columns together, against TensorFlow itself."""

import numpy as np
import pytest

from tests.lift.translating import assert_refused, check, normal, raw, tf, whole


@pytest.mark.parametrize("flip_a", [False, True])
@pytest.mark.parametrize("flip_b", [False, True])
def test_products_of_matrices(flip_a, flip_b):
    a, b = normal(2, 3, 4), normal(2, 4, 5)
    a, b = a.swapaxes(1, 2).copy() if flip_a else a, b.swapaxes(1, 2).copy() if flip_b else b
    check(lambda x, y: raw.MatMul(a=x, b=y, transpose_a=flip_a, transpose_b=flip_b), a[0], b[0])
    check(lambda x, y: raw.BatchMatMul(x=x, y=y, adj_x=flip_a, adj_y=flip_b), a, b)
    check(lambda x, y: raw.BatchMatMulV2(x=x, y=y, adj_x=flip_a, adj_y=flip_b), a, b[:1])
    check(lambda x, y: raw.BatchMatMulV3(x=x, y=y, Tout=tf.float32, adj_x=flip_a, adj_y=flip_b), a, b[0])
    check(lambda x, y: raw.MatMul(a=x, b=y), whole(0, 9, 3, 4), whole(0, 9, 4, 5))
    check(lambda x, y: tf.tensordot(x, y, [[2], [0]]), normal(2, 3, 4), normal(4, 5), free=True)


EQUATIONS = {
    "ij,jk->ik": ((2, 3), (3, 4)),
    "btd,dhk->bthk": ((2, 3, 4), (4, 2, 5)),
    "bthk,bshk->bhts": ((2, 3, 2, 4), (2, 5, 2, 4)),
    "...ij,...jk->...ik": ((2, 3, 4), (4, 5)),
    "...d,de->...e": ((2, 3, 4), (4, 5)),
    "ii->i": ((3, 3),),
    "ij->ji": ((2, 3),),
    "ij->": ((2, 3),),
    "...ij,...ij->...": ((2, 3, 4, 5), (1, 4, 5)),
    "i,i->": ((3,), (3,)),
    "i,j->ij": ((3,), (4,)),
}


@pytest.mark.parametrize("equation", EQUATIONS)
@pytest.mark.parametrize("free", [False, True])
def test_products_in_the_notation_of_einstein(equation, free):
    build = lambda *x: raw.Einsum(inputs=list(x), equation=equation)  # noqa: E731
    check(build, *[normal(*shape) for shape in EQUATIONS[equation]], free=free)


@pytest.mark.parametrize("free", [False, True])
def test_bands_of_matrices(free):
    for lower, upper in ((0, -1), (-1, 0), (1, 2), (0, 0), (-1, -1)):
        build = lambda x, a=lower, b=upper: raw.MatrixBandPart(input=x, num_lower=a, num_upper=b)  # noqa: E731
        check(build, normal(2, 4, 3), free=free)
    check(lambda x, n: raw.MatrixBandPart(input=x, num_lower=n, num_upper=0), whole(1, 9, 4, 4), np.int32(2))


MAIN = {"k": 0, "padding_value": 0.0}


@pytest.mark.parametrize("free", [False, True])
def test_diagonals(free):
    x, matrix = normal(2, 3), normal(2, 3, 3)
    check(lambda x: raw.MatrixDiag(diagonal=x), x, free=free)
    check(lambda x: raw.Diag(diagonal=x), normal(4), free=free)
    for op in ("MatrixDiagV2", "MatrixDiagV3"):
        check(lambda x, op=op: getattr(raw, op)(diagonal=x, num_rows=-1, num_cols=-1, **MAIN), x, free=free)
    for shape in ((2, 3, 3), (2, 4), (2, 2, 5)):
        wide = np.where(normal(*shape) > 1, np.inf, normal(*shape)).astype(np.float32)
        check(lambda x: raw.MatrixDiagPart(input=x), wide, free=free)
        for op in ("MatrixDiagPartV2", "MatrixDiagPartV3"):
            check(lambda x, op=op: getattr(raw, op)(input=x, **MAIN), wide, free=free)
    check(lambda x: raw.DiagPart(input=x), normal(3, 3), free=free)
    check(lambda x, d: raw.MatrixSetDiag(input=x, diagonal=d), matrix, x)
    for op in ("MatrixSetDiagV2", "MatrixSetDiagV3"):
        check(lambda x, d, op=op: getattr(raw, op)(input=x, diagonal=d, k=0), matrix, x)


REFUSALS = {
    "another diagonal": (lambda x: raw.MatrixDiagPartV3(input=x, k=1, padding_value=0.0), "another diagonal"),
    "a wider matrix": (
        lambda x: raw.MatrixDiagV3(diagonal=x, k=0, num_rows=4, num_cols=-1, padding_value=0.0),
        "another diagonal than the main one, or pads it",
    ),
    "a matrix that is not square": (
        lambda x: raw.MatrixSetDiag(input=x, diagonal=tf.linalg.diag_part(x)),
        "not known to be square",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_refusals_name_the_operator_and_the_reason(what):
    build, words = REFUSALS[what]
    assert_refused(build, words, np.zeros((2, 3), np.float32))


@pytest.mark.parametrize(("size", "length"), [(8, 8), (9, 6), (5, 8), (7, 7)])
def test_the_spectrum_of_real_frames_and_back(size, length):
    def whole(x):
        spectrum = tf.signal.rfft(x, [length])
        size, turn = tf.abs(spectrum), tf.math.angle(spectrum)
        turned = tf.cast(size * 2, tf.complex64) * tf.exp(tf.complex(0.0, 1.0) * tf.cast(turn, tf.complex64))
        more = turned - tf.math.conj(spectrum)
        return size, turn, tf.math.real(turned), tf.math.imag(more), tf.signal.irfft(more), tf.signal.irfft(turned, [5])

    check(whole, normal(2, 3, size))
    check(lambda x: tf.cast(tf.signal.ifft(-tf.signal.fft(tf.complex(x, 2 * x))), tf.float32), normal(3, size))


def test_complex_numbers_have_no_translation_elsewhere():
    assert_refused(lambda x: tf.abs(tf.reshape(tf.complex(x, x), [-1])), "Reshape", normal(2, 3))
