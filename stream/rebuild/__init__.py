"""Rebuild: facts recomputed from the log by this code, beside the running fold, replace the facts in use.

It may import ``engine``, ``log`` and ``cluster``.

A partition goes through the same steps, however often the rebuild starts again after a crash:

1. Its shadow, a lane under an application id of its own whose outputs nobody gets, folds the log up to what the running
   lane has committed. Its state and position commit to ``profiles.rebuild``.
2. Where facts differ, the running lane is fenced: from here on nothing of it counts, and its position stands still. The
   shadow folds on to exactly that position.
3. One transaction, under the running lane's own id, writes the shadow's facts beside the ledger in use, at that same
   position, and notes in ``profiles.rebuild`` that it is done.
4. A tick in the log lets the fenced owner notice; it ends, is started anew and goes on from what was written.

Killed before the third step nothing has changed, and the owner goes on as it was; killed behind it all of it has.
"""
