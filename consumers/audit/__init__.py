"""An audit that nobody can bend (纪检监察, M39, M125): steps, dead letters and acts of the audit in chains of hashes.

1. `chainer.Chainer` goes on with the chains in transactions of its own, from where each stands: one chain of the steps
   of each partition, one of dead letters, one of acts. After a kill it goes on with the next link. Chains differ with
   the number of partitions, as the numbers of steps do.
2. `anchors` says once a day where all chains stand, and tells it to a file and a topic, for somebody else to keep.
   Whoever has an anchor can tell that nothing before it was changed, whoever may write to the database.
3. `verification` holds what is stored against the chains, and these against anchors: every step, letter or act that was
   edited, removed, put in or moved is named. What was erased is not: its digest stays in the chain.
4. `restoring` begins the next epoch of each chain after a restore. It says by which anchor the database is held, and
   which steps were anchored that it lacks.
"""
