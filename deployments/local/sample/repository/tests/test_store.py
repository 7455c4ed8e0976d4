import unittest

from todo.store import Store


class TestStore(unittest.TestCase):
    def test_add_numbers_from_one(self):
        store = Store()
        self.assertEqual([store.add("tea").id, store.add("cake").id], [1, 2])


if __name__ == "__main__":
    unittest.main()
