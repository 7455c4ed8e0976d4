#!/usr/bin/env bash
# The original job as one pipeline, written from its README: secret, clone, instructions, claude, commit, push.
# The variables are those of the original job; CLAUDE is the path of the binary, and WORK is an empty directory.
set -euo pipefail
cd "$WORK"

secret=$(aws secretsmanager get-secret-value --secret-id "$GIT_CREDENTIALS_SECRET_ID" --query SecretString --output text)
token=$(sed -E 's/.*"token": *"([^"]*)".*/\1/' <<<"$secret")
email=$(sed -E 's/.*"email": *"([^"]*)".*/\1/' <<<"$secret")

git clone --quiet "${REPO_URL/:\/\//://x-access-token:$token@}" repository
mkdir instructions
aws s3 cp --quiet --recursive "${INSTRUCTIONS_S3_URI%\*}" instructions

cd repository
git checkout --quiet -b "$BRANCH_NAME"
mkdir -p .claude
echo "$CLAUDE_SETTINGS" >.claude/settings.json
{ cat ../instructions/main.md; echo; echo "The requirements in the directory $WORK/instructions, see there."; } |
  "$CLAUDE" -p --output-format stream-json --verbose --permission-mode acceptEdits \
    --add-dir "$WORK/instructions" --model "$CLAUDE_MODEL_ID" >../transcript.jsonl

git add --all -- ':!.claude'
git -c user.name=Claude -c "user.email=$email" commit --quiet -m "$COMMIT_MESSAGE"
git push --quiet origin "$BRANCH_NAME"
