# Commits a file for each step; "unlock" removes the locks of a git that is dead, "fsync" is core.fsync=all.
set -e
export GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z' HOME=/nonexistent
export GIT_CEILING_DIRECTORIES=$1 # no repository around it is meant
options=" $2 $3 "
git() { command git -C "$path/repository" -c user.name=a -c user.email=a@example.com -c maintenance.auto=false $fsync "$@"; }
path=$1 fsync=
case $options in *" fsync "*) fsync='-c core.fsync=all' ;; esac
[ -d "$path/repository" ] || mkdir "$path/repository"
case $options in *" unlock "*) find "$path/repository" -name '*.lock' -delete ;; esac
git init --quiet --template=
done=$(git rev-list --count HEAD 2>/dev/null || echo 0)
while [ "$done" -lt 2 ]; do
    echo "step $done" >"$path/repository/step-$done"
    touch --date=2026-01-01 "$path/repository/step-$done" # older than the index, so that git reads it once
    git add .
    git commit --quiet --message "step $done"
    done=$(git rev-list --count HEAD)
done
git fsck --no-progress --no-dangling
git log --format=%s --patch >"$path/result.txt"
