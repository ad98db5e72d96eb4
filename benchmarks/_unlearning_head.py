"""What ``docs/unlearning.md`` says before its tables: the protocol, and how to read it."""

HEAD = """# Unlearning on real data

Made by `python benchmarks/unlearning.py`; `--only-table` makes this page again from the
stored cells in `docs/benchmarks/unlearning`.

For each request, *gold* models are retrained from scratch on the edited graph, with seeds of
their own. Each method forgets the request from as many originals, and `graphrec.unlearn.audit`
compares every result with the golds. **passed** means: every residue check holds, the
forget metrics lie in the band of gold against gold (the 95th percentile of all pairs, at
least the 95 % prediction interval for one more gold), and test recall is equivalent to gold's
(two one-sided t-tests, margin the larger of the band and 1 %).
Backbones have the settings of [the results page](results.md), chosen on validation; methods
have their defaults, and none was tuned on the test part (what those of `auto` rest on is [a page of
its own](unlearning-choice.md)). Requests are drawn at random (seed 0) and the same for all models.

*forget R@20* is recall of the forgotten pairs; the target is gold's value, not zero. *KS* is the
distance of user-standardised scores of forgotten pairs from gold's. *AUC* is that of membership
inference against held-out pairs matched in degree. Golds stand as mean ± band. Seconds are those
of the repair and of rebuilding the graph, without evaluation; *times faster* compares with the
golds. Most of it ran on one thread beside other work that came and went, so seconds are upper
bounds and ratios rough. Alone on a core (`--requests interactions-5 users-5 items-5 --methods
auto --seeds 0 1 2 --threads 1` with folders of its own for cells and models; LightGCN,
lastfm-2k-mm) gold took 15.2, 14.3 and 17.4 s and `auto` 1.5, 0.3 and 0.3 s: 10, 43 and 51 times
less. Sharded methods run once; their seconds are those of the shards and do not hold the training
of the sharded system that a deployment would have done before the request; a row says so where it
was held against fewer golds than the others of its table. Requests of other sizes than 5 % and
1 %, all of CURE4Rec and all with LIRDRec and MMHCL have three golds and three unlearned models,
which makes bands wide and tests weak.

How to read it:

- *Removed users and items* are nobody to serve any more, and their rows are drawn anew. What is
  left to measure is those draws and what the others learned from them, so the edit alone lies
  in or near the band, and so does every method that harms nobody. The area then counts the
  held-out pairs that score below a random row, which says more of the rest of the model than of
  the forgotten: with FREEDOM and 5 % of the items it is 0.008 to 0.011 for them and 0.008 for golds
  that agree within 0.001. With one per cent of the users all depends on a few dozen random
  rows: where five golds happen to agree closely, some draws fall outside, those of the edit
  alone as well.
- *Removed interactions* are the hard case: both ends stay, and the pair can be served again.
  Methods that only go on training under-forget; those that push down without a level to stop at
  lose utility, or reach gold's recall of the forgotten pairs with another distribution of
  scores. `auto` gives every forgotten pair the level of held-out pairs like it
  (`graphrec.unlearn.level`) while that level moves; only rows of users and items of these pairs
  move, and what is at the top of everybody's scores is held hardest.
- *A level without gold is an estimate.* Golds agree on the pairs of one request within a few
  thousandths of the area, but where they stand differs from request to request by more: on
  [five other draws](unlearning-choice.md) of 5 % of the interactions of lastfm-2k-mm, LightGCN
  retrained twice on each has 0.504, 0.502, 0.504, 0.500 and 0.503 against validation pairs. `auto`,
  which sees no gold, aims at 0.5 (its first attempt ends there at 0.497 to 0.500). On the draw
  below golds stand at 0.505 with LightGCN, at 0.502 with FREEDOM and at 0.500 with LIRDRec: all
  runs of `auto` lie inside with the last, at the edge with the second, below with the first.
- *The more pairs, the tighter the band.* With 32,389 forgotten pairs (5 % of ml-1m) golds agree
  within 0.006 in KS and 0.002 in AUC, and two of five would fail the test that the others set.
  `auto` has gold's recall of the forgotten pairs and comes within a few thousandths of both
  bands; no other method comes near.
- *TikTok's held-out pairs are not like its pairs*: users have one to three training
  interactions, or more than 350. The latter have three quarters of the forgotten ones, one per
  cent of the held-out ones, and those are not typical; a held-out pair of the former profits from
  the one forgotten pair that its user had. So the level of held-out pairs is too high for the
  forgotten ones; `auto` keeps the rest as good as gold there and comes nearer to gold's scores
  than the edit alone, but not into the band. Gold itself is cheap on it. FREEDOM's golds differ
  much from each other and from the originals there. Users who lose all that they had (145 with
  5 % of the interactions, 189 with 5 % of the items) get a row that is drawn anew, as retraining
  leaves them: without that no method passes for items there.
- *A repair can harm where nothing is to be repaired.* After 5 % of the items of ml-1m are gone
  the edit alone lies in the band; fifty steps of training at full rate, which settle the
  neighbours, moved the rest too far there (0 of 5). `auto` goes at 0.3 of the rate, falling to
  nothing, and takes the full rate only where that leaves less than 0.98 of the validation recall,
  as for most runs without CURE4Rec's least active users.
- *Better than gold is not equivalent to gold.* Originals on ml-1m have 0.001 to 0.002 more test
  recall than golds, for users nearly the whole margin of the test (0.0021 and 0.0023). The full
  rate lost some of that and passed 8 of 10 runs; the gentle repair keeps it, and nine of ten are
  *not_measurable* since the interval of the difference reaches over the margin. So it is for
  CURE4Rec's core-10, by NDCG.
- *Shards forget exactly and recommend worse.* A shard sees a quarter of the interactions. With
  LightGCN test recall of `sisa` is 0.31 to 0.33 on lastfm-2k-mm (gold 0.41 to 0.44), less than half
  of gold's on TikTok and 0.175 to 0.184 on ml-1m (0.206 to 0.218); that of `receraser` 0.36 to
  0.39, 0.065 to 0.088 (gold 0.091 to 0.095) and 0.177 to 0.186. With FREEDOM on TikTok they have
  0.032 to 0.039 and 0.045 to 0.087 (0.085 to 0.090). That nothing is left holds by construction
  (`sisa`, class E); the verdict compares with a model that was trained as a whole, and one of 70
  runs passes.
- *MMHCL* took no part in any choice. Without 5 % of the interactions each of three runs of `auto`
  misses by one measure: recall of the forgotten pairs (0.373, gold 0.393 ± 0.017), test recall
  (0.0069 below gold, margin 0.0068), KS (0.0221, band 0.0210). The edit alone has 0.49 to 0.50 and
  KS 0.13 to 0.14. Without 5 % of the users all three pass, as the edit alone does.
- *image-5* and *modality* forget no interaction. What decides is how the models see the items
  that lost it: *drift* and *level*, as distances from gold beside gold's from gold
  (`graphrec.unlearn.affected`).
- *suppress* fails by design: it hides what the model still holds.
"""
