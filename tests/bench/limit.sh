#!/usr/bin/env bash
# The least that any implementation of this job must do: a shallow clone and, at the same time, parallel downloads
# from S3; then the claude process and the push.
# No secret is read, since the token is in the URL.
set -euo pipefail
cd "$WORK"

git clone --quiet --depth 50 "$REPO_URL_WITH_TOKEN" repository &
"$PYTHON" "$BENCH/parallel_gets.py" "$INSTRUCTIONS_S3_URI" instructions &
wait %1
wait %2

cd repository
git checkout --quiet -b "$BRANCH_NAME"
{ cat ../instructions/main.md; echo; echo "The requirements in the directory $WORK/instructions, see there."; } |
  "$CLAUDE" -p --output-format stream-json --verbose --permission-mode acceptEdits \
    --add-dir "$WORK/instructions" --model "$CLAUDE_MODEL_ID" >../transcript.jsonl

git add --all
git -c user.name=Claude -c user.email=claude@example.com commit --quiet -m "$COMMIT_MESSAGE"
git push --quiet origin "$BRANCH_NAME"
