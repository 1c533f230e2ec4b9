"""For programs that hold a TensorFlow session: save its recurrent model, and restore variables into its graph.

    import reprise.tensorflow

    path = reprise.tensorflow.save(session, "runs/model.ckpt")
    reprise.tensorflow.restore(session, path)

Any `tf.compat.v1` session and graph will do. Importing this package imports TensorFlow.
"""

from reprise.errors import MissingDependency
from reprise.installing import install

try:
    import tensorflow  # noqa: F401 - everything below needs it; its absence is said once, here
except ModuleNotFoundError as error:
    if error.name != "tensorflow":
        raise
    raise MissingDependency(
        "reprise.tensorflow works on TensorFlow sessions, and TensorFlow is not installed: "
        f"{install('tensorflow')}. Restoring a model with reprise.restore does not need it."
    ) from error

from reprise.tensorflow.restoring import Restored, restore
from reprise.tensorflow.saving import save

__all__ = ["Restored", "restore", "save"]
