#!/usr/bin/env bash
# The first board, cell by cell; design.md says what and why. Every cell can be interrupted and is
# gone on with at the next call; what is done is skipped.
#
#   bash run.sh --list             cells, done and planned, with what they are expected to take
#   bash run.sh --minutes 60       begin cells for an hour
#   bash run.sh --only 'main-*'    only these, and what they need
#   bash run.sh --retry NAME       a cell that failed twice, once its cause is mended
#   bash run.sh --smoke            the whole way on 20 generated games per split, a few steps each
#   bash run.sh --write-up         only the tables, the board and README.md, from what is done
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)

# A larger scale is other values here, or in the environment; nothing else changes.
export BOARD_OUT=${SAD_BOARD_DIR:-board-runs}           # runs, students, logs; outside the repository
export BOARD_TEACHER=${BOARD_TEACHER:-nano:L}
export BOARD_SCALES=${BOARD_SCALES:-XS=config:$here/nano-xs.json S=nano:S M=nano:M}
export BOARD_MIDDLE=${BOARD_MIDDLE:-S}                  # scale of the primary comparison, tuning, ablations
export BOARD_SEEDS=${BOARD_SEEDS:-0 1 2}
export BOARD_STEPS=${BOARD_STEPS:-}                     # optimiser steps of every student; counted where empty
export BOARD_TUNING_STEPS=${BOARD_TUNING_STEPS:-}       # of a tuning trial, on a third of the tasks; likewise
export BOARD_EPOCHS=${BOARD_EPOCHS:-4}
export BOARD_TEACHER_EPOCHS=${BOARD_TEACHER_EPOCHS:-4}
export BOARD_PACK=${BOARD_PACK:-4096}                   # tokens of a packed row
export BOARD_ROWS=${BOARD_ROWS:-1}                      # packed rows of a step
export BOARD_RATES=${BOARD_RATES:-0.001 0.002 0.004}    # learning rates tried; three trials per method
export BOARD_CONCURRENCY=${BOARD_CONCURRENCY:-32}       # episodes a model plays at once
export BOARD_JOBS=${BOARD_JOBS:-2}                      # cells at the same time; they share out the cores
export BOARD_CELL_MINUTES=${BOARD_CELL_MINUTES:-20}     # a cell is interrupted then, and gone on with
# environment=split to learn from, to choose on (with ALFWorld only), to report on
export BOARD_SPLITS=${BOARD_SPLITS:-alfworld=train,valid_seen,valid_unseen webshop=generated:0:2000,,generated:1:200 \
hotpotqa=generated:0:2000,,generated:1:200}
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}

for argument in "$@"; do
  [[ $argument == --smoke ]] || continue
  # Generated games: nothing to download, and no number of the real splits is looked at.
  export BOARD_OUT=$BOARD_OUT/smoke BOARD_SEEDS="0 1" BOARD_STEPS='' BOARD_TUNING_STEPS=''
  export BOARD_TEACHER_EPOCHS=1 BOARD_EPOCHS=1 BOARD_PACK=4096 BOARD_ROWS=1 BOARD_MAX_STEPS=3
  export BOARD_SPLITS="alfworld=generated:0:20,generated:1:20,generated:2:20 \
webshop=generated:0:20,,generated:2:20 hotpotqa=generated:0:20,,generated:2:20"
done

python=$root/.venv/bin/python
[[ -x $python ]] || python=python3
exec "$python" "$here/drive.py" "$@"
