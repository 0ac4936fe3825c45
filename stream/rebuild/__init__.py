"""Rebuild: this code recomputes the facts from the log while the fold runs, then they replace the facts in use.

This package may import ``engine``, ``log`` and ``cluster``.

Each partition goes through four steps, also when a rebuild starts again after a crash:

1. The shadow of the partition folds the log up to the position that the running lane has committed. A shadow is a lane
   with its own application id and without outputs. It commits its state and position to ``profiles.rebuild``.
2. If facts differ, the rebuild fences the running lane. From here on that lane can commit nothing, so its position does
   not change. The shadow folds on to exactly that position.
3. One transaction, under the id of the running lane, combines the shadow's facts with the ledger in use, and writes
   them at that position. The same transaction records in ``profiles.rebuild`` that the partition is done.
4. A tick in the log makes the fenced owner notice that it is fenced. It ends, starts again, and continues from the
   written state.

If the rebuild is killed before step 3, nothing has changed, and the owner continues as before. If it is killed after
step 3, everything has changed.
"""
