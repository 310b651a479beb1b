"""What the tests of real clients share: where the nodes are, and that each test runs at every one of them.

In the environment, set by tests/clients/run: FLOTILLA_MODEL, FLOTILLA_URLS (each with its /v1), FLOTILLA_TOOL_MODEL (one whose
template knows tools), FLOTILLA_EMBEDDER (one that makes vectors), FLOTILLA_SCRIPTED=1 where both are a script that answers with what stands behind "[say]".
"""

import os
import sys
import unittest

MODEL = os.environ.get("FLOTILLA_MODEL", "")
URLS = os.environ.get("FLOTILLA_URLS", "").replace(",", " ").split()
TOOL_MODEL = os.environ.get("FLOTILLA_TOOL_MODEL", "")
EMBEDDER = os.environ.get("FLOTILLA_EMBEDDER", "")
IS_SCRIPTED = os.environ.get("FLOTILLA_SCRIPTED") == "1"

only_scripted = unittest.skipUnless(IS_SCRIPTED, "needs a model that says what it is told to")
only_real = unittest.skipIf(IS_SCRIPTED, "needs a model whose template knows no tools")
with_tools = unittest.skipUnless(TOOL_MODEL, "needs a model whose template knows tools")


def at_every_node(*cases, once=(), urls=URLS):
    """A load_tests for classes with a `url`, which run at each node, and for those that look at all of them `once`."""

    def load_tests(loader, tests, pattern):
        suite = unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in once)
        for index, url in enumerate(urls):
            for case in cases:
                there = type(f"{case.__name__}{index}", (case, unittest.TestCase), {"url": url})
                suite.addTests(loader.loadTestsFromTestCase(there))
        return suite

    return load_tests


def main():
    if not MODEL or not URLS:
        sys.exit("expected FLOTILLA_MODEL and FLOTILLA_URLS in the environment; tests/clients/run sets them")
    unittest.main(verbosity=2)
