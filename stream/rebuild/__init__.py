"""Rebuild: this code recomputes the facts from the log while the fold runs, then they replace the facts in use.

This package may import ``engine``, ``log`` and ``cluster``.

Each partition goes through these steps, also when a rebuild starts again after a crash:

1. The shadow of the partition folds the log up to the position that the running lane has committed. A shadow is a lane
   with its own application id and without outputs. It commits its state and position to ``profiles.rebuild``. In the
   same transaction it commits to ``merges.rebuild`` what visitors hand over to known users.
2. If facts about visitors differ, the rebuild fences the running lane. From here on that lane can commit nothing, so
   its position does not change. The shadow folds on to exactly that position.
3. One transaction, under the id of the running lane, combines the shadow's facts with the ledger in use, and writes
   them at that position. The same transaction records in ``profiles.rebuild`` that the visitors are done.
4. A tick in the log makes the fenced owner notice that it is fenced. It ends, starts again, and continues from the
   written state. From here on it hands over facts of this code.
5. When the visitors of all partitions are done, the shadow takes what they have handed over from ``merges.rebuild``. If
   that is not the same as in the log, the shadow folds the log again. Steps 2 to 4 then follow for all users.

Other modules of this package fold the log beside the running fold, and do not change it. They compute the history of
new conditions, the state at a time in the past, and trials of a configuration.

If the rebuild is killed before a transaction of step 3, nothing has changed since the transaction before, and the owner
continues. If it is killed after the transaction, everything in it has changed.
"""
