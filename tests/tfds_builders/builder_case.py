"""TFDS's own test of a builder, which imports TensorFlow: run by a test instead of being found as one."""

import unittest


def check_builder(case):
    """Runs all tests of a `tfds.testing.DatasetBuilderTestCase`, and fails with what they say."""
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    assert result.testsRun > 1
    assert result.wasSuccessful(), "\n".join(text for _, text in (*result.failures, *result.errors))
