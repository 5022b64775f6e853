"""Run as a program: answers every signature of a SavedModel where neither Keras nor this project can be imported.

Reads `{"path": ..., "files": [base64, ...]}` from standard input, writes the answers as JSON to standard output.
"""

import base64
import json
import sys


class Without:
    """A finder that does not find what is not to be there."""

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("sperm_tf", "keras", "tf_keras", "pipelines", "tests"):
            return None
        return self.finder.find_spec(name, path, target)


def main():
    sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
    import tensorflow as tf

    request = json.load(sys.stdin)
    files = [base64.b64decode(file) for file in request["files"]]
    signatures = tf.saved_model.load(request["path"]).signatures
    images = [tf.train.Feature(bytes_list=tf.train.BytesList(value=[file])) for file in files]
    examples = [tf.train.Example(features=tf.train.Features(feature={"image": image})) for image in images]
    answers = {
        "serving_default": signatures["serving_default"](image_bytes=tf.constant(files)),
        "explain": signatures["explain"](image_bytes=tf.constant(files)),
        "explain_classes": signatures["explain_classes"](image_bytes=tf.constant(files)),
        "serving_examples": signatures["serving_examples"](
            examples=tf.constant([example.SerializeToString() for example in examples])
        ),
    }
    assert not {"sperm_tf", "keras", "tf_keras"} & set(sys.modules)
    print(json.dumps({name: {key: as_list(value) for key, value in answers[name].items()} for name in answers}))


def as_list(tensor):
    array = tensor.numpy()
    return (array.astype(str) if array.dtype == object else array).tolist()


main()
