"""Everything that an agent may leave behind and that decides how its run ends, with the expected outcome."""

from typing import Final

from flows.errors import (
    AgentFilesChanged,
    AgentRepoInvalid,
    CiFilesChanged,
    RunError,
    UnexpectedSubmodule,
    UnsafeSymlink,
)
from tests.hostile.plants import CONFIG

FORGED_INDEX: Final = r"""
cat > $D/forge-$(id -u).py <<'END'
import hashlib, struct, sys
blob = bytes.fromhex(sys.argv[1])
def entry(path):
    head = struct.pack(">10I20sH", *[0] * 6, 0o100644, 0, 0, 0, blob, 0x8000 | len(path))
    return head + path + bytes(8 - (len(head) + len(path)) % 8)
body = b"DIRC" + struct.pack(">II", 2, 2) + entry(b".GIT/config") + entry(b"hello.txt")
open(".git/index", "wb").write(body + hashlib.sha1(body).digest())
END
python3 $D/forge-$(id -u).py $(echo x | git hash-object -w --stdin)
"""
"""An index with an entry that git itself would refuse. Its flag tells git not to check the entry in the work tree."""

REFUSED: Final[dict[str, tuple[str, type[RunError]]]] = {
    "gitmodules": (
        "printf '[submodule \"x\"]\\n path = x\\n url = https://x.invalid/x\\n' > .gitmodules",
        UnexpectedSubmodule,
    ),
    "gitmodules-option": (
        "printf '[submodule \"x\"]\\n path = x\\n url = -u./payload\\n' > .gitmodules",
        AgentRepoInvalid,
    ),
    "gitmodules-escape": (
        "printf '[submodule \"../../hooks\"]\\n path = x\\n url = https://x.invalid/x\\n' > .gitmodules",
        AgentRepoInvalid,
    ),
    "gitmodules-link": ("ln -s README.md .gitmodules", AgentRepoInvalid),
    "git-is-a-link-to-root": ("mv .git $D/git-$(id -u); ln -s / .git", AgentRepoInvalid),
    "git-is-a-link-to-the-trusted-one": ("rm -rf .git; ln -s ../../trusted/clean.git .git", AgentRepoInvalid),
    "git-is-a-file-to-the-trusted-one": ("rm -rf .git; echo gitdir: ../../trusted/clean.git > .git", AgentRepoInvalid),
    "git-is-gone": ("rm -rf .git", AgentRepoInvalid),
    "git-is-new": ("rm -rf .git; git init -q .", AgentRepoInvalid),
    "git-is-a-pipe": ("rm -rf .git; mkfifo .git", AgentRepoInvalid),
    "sha256": ("rm -rf .git; git init -q --object-format=sha256 .", AgentRepoInvalid),
    "objects-elsewhere": (
        "rm -rf .git/objects/*; mkdir -p .git/objects/info; realpath -m ../../trusted/clean.git/objects > "
        ".git/objects/info/alternates",
        AgentRepoInvalid,
    ),
    "objects-of-no-kind": (
        "chmod -R u+w .git/objects; find .git/objects -type f -exec sh -c 'rm -f $0; echo x > $0' {} \\;",
        AgentRepoInvalid,
    ),
    "bad-encoding": ("echo '*.u working-tree-encoding=UTF-16' > .gitattributes; printf abc > a.u", AgentRepoInvalid),
    "link-to-a-secret": ("ln -s /etc/shadow shadow", UnsafeSymlink),
    "link-upwards": ("mkdir -p a/b; ln -s ../../../trusted a/b/out", UnsafeSymlink),
    "link-by-a-link": ("mkdir a; ln -s .. a/up; ln -s a/up/../x out", UnsafeSymlink),
    "link-into-git": ("ln -s .git/config configuration", UnsafeSymlink),
    "link-to-proc": ("ln -s /proc/self/environ environ", UnsafeSymlink),
    "link-in-place-of-claude-md": ("ln -sf ../../trusted/prompt.md CLAUDE.md", UnsafeSymlink),
    "ci": ("mkdir -p .github/workflows; echo 'on: push' > .github/workflows/x.yml", CiFilesChanged),
    "ci-in-capitals": ("mkdir -p .GitHub/Workflows; echo 'on: push' > .GitHub/Workflows/x.yml", CiFilesChanged),
    "claude-settings": ("mkdir .claude; echo '{}' > .claude/settings.json", AgentFilesChanged),
    "mcp": ("echo '{}' > .mcp.json", AgentFilesChanged),
}
"""By name: the agent's script, and the error with which the run must fail."""

DELIVERED: Final[dict[str, tuple[str, set[str]]]] = {
    "nested-repository": (
        'git init -q nested; cd nested; git config core.fsmonitor "$M nested-repository"; touch f; git add f; '
        "git -c user.name=x -c user.email=x@x commit -q -m x",
        {"nested/f"},
    ),
    "nested-without-commits": (
        'git init -q nested; git -C nested config core.fsmonitor "$M nested-without-commits"; touch nested/f',
        {"nested/f"},
    ),
    "gitlink": ("git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),lib; mkdir lib", set()),
    "filter-required": (
        'git config filter.r.clean "$M filter-required; exit 1"; git config filter.r.required true; '
        'echo "*.r filter=r" > .gitattributes; echo r > a.r',
        {".gitattributes", "a.r"},
    ),
    "filter-process": (CONFIG["filter-process"], {".gitattributes", "a.process"}),
    "unreadable-file": ("echo x > closed; chmod 000 closed", {"closed"}),
    "forged-index": (FORGED_INDEX, set()),
    "index-is-garbage": ("echo DIRC > .git/index", set()),
    "index-lock-is-a-directory": ("mkdir -p .git/index.lock/x", set()),
    "result-ref-is-in-the-way": ("git update-ref refs/claude-code-headless/result/x HEAD", set()),
    "read-only": ("chmod -R a-w .git", set()),
}
"""Tricks with git that decide nothing: the agent's script, and the files that are delivered beside hello.txt."""

HARMLESS: Final = {
    "git-is-a-link": "mv .git $D/moved-$(id -u); ln -s $D/moved-$(id -u) .git",
    "git-is-a-file": "mv .git $D/moved-$(id -u); echo gitdir: $D/moved-$(id -u) > .git",
    "result-ref-is-locked": "mkdir -p .git/refs/claude-code-headless; touch .git/refs/claude-code-headless/result.lock",
    "alternates": "realpath -m ../../trusted/clean.git/objects >> .git/objects/info/alternates; echo /root >> "
    ".git/objects/info/alternates",
    "index": "git update-index --split-index; git update-index --assume-unchanged README.md; git config index.version 4; "
    "git sparse-checkout init --cone; touch .git/index.lock",
    "history": "git checkout -q --orphan other; git commit -q -m other; git branch -D main 2>/dev/null; git rev-parse HEAD "
    "> .git/shallow; git replace -f HEAD HEAD 2>/dev/null; echo ref: refs/heads/none > .git/HEAD",
    "partial-clone": "git config extensions.partialClone origin; git config remote.origin.promisor true; "
    "git config remote.origin.partialclonefilter blob:none; git config remote.origin.url $T/promised.git",
    "shallow": "git rev-parse HEAD > .git/shallow; touch .git/shallow.lock",
    "result-ref": "git symbolic-ref refs/claude-code-headless/result refs/heads/elsewhere",
}
"""Scripts that make no difference to the trusted side: the run completes, with the change that the agent intended."""

IN_THE_TREE: Final = r"""
printf x > ./-rf; printf x > ./--upload-pack=x; printf x > $'new\nline'; printf x > $'\xff\xfe'; printf x > $'\e[2Jcolour'
printf x > "$(printf 'n%.0s' $(seq 255))"; printf x > name; printf x > NAME; printf x > ' '; printf x > '$(id)'
mkdir -p deep/$(printf 'd%.0s' $(seq 200))/$(printf 'e%.0s' $(seq 200)); printf x > deep/d*/e*/f
printf x > 'refs:heads'; mkdir objects refs; printf 'ref: refs/heads/main\n' > HEAD; printf x > objects/x; printf x > refs/x
printf '[core]\n fsmonitor = %s bare\n' "$M" > config
mkdir bin; for p in git env setpriv sh git-upload-pack askpass; do
  printf '#!/bin/sh\nexec %s lookalike\n' "$M" > bin/$p; chmod 755 bin/$p; cp bin/$p $p; done
printf 'export-subst-$Format:%%H$ $Id$\n' > subst; printf '#!/bin/sh\nexec %s setuid\n' "$M" > setuid; chmod 6755 setuid
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 12345\n' 0 > large.bin
printf '*.bin filter=lfs diff=lfs merge=lfs -text\nsubst export-subst ident\n*.x eol=crlf merge=union\n' > .gitattributes
printf '[url "%s/"]\n insteadOf = http://\n' "$T" > .gitconfig; printf 'prefix=%s\n' "$T" > .npmrc
printf '%s profile\n' "$M" > .profile; printf '%s envrc\n' "$M" > .envrc
"""
"""Odd names and files that a commit can hold. They come from the clone or from the agent."""

BESIDE_THE_TREE: Final = r"""
mkfifo pipe; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'; mknod device c 1 3 2>/dev/null
ln README.md hard; for f in .profile .bashrc .bash_profile .zshrc .envrc; do
  printf 'export GIT_DIR=/nowhere GIT_EXEC_PATH=%s GIT_SSH_COMMAND="%s home" LD_PRELOAD=/nowhere\n%s home\n' "$D" "$M" "$M" > ~/$f; done
printf '[core]\n fsmonitor = %s home\n[credential]\n helper = !%s home\n[url "%s/"]\n insteadOf = http://\n' "$M" "$M" "$T" > ~/.gitconfig
printf 'machine 127.0.0.1 login x password y\n' > ~/.netrc; printf '[global]\nindex-url=%s\n' "$T" > ~/.pip.conf
mkdir -p ~/.config/git ~/.aws ~/.claude; cp ~/.gitconfig ~/.config/git/config; printf '[default]\ncredential_process=%s home\n' "$M" > ~/.aws/config
for f in $CLAUDE_CONFIG_DIR/projects/*/*.jsonl; do echo '{"type":"forged"}' >> "$f"; done
printf '{"hooks":{"Stop":[{"hooks":[{"type":"command","command":"%s home-settings"}]}]},"env":{"ANTHROPIC_BEDROCK_BASE_URL":"%s"}}' \
  "$M" "$T" | tee $CLAUDE_CONFIG_DIR/settings.json > ~/.claude/settings.json
"""
"""Files that git does not commit, and files in the agent's home directory."""
