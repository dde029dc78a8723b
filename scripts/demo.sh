#!/bin/sh
# What `make demo` runs: packages examples/weather.py in two ways, and runs both packages.
set -eu
cd "$(dirname "$0")/.."

KEY=out/prefect.key
SEALED=out/weather.flow
PICTURE=out/weather.png
ARCHIVE=out/weather.tar
TAG=prefect-demo-weather
made="$SEALED $PICTURE"

step() {
    printf '\n== %s\n' "$*"
}

say() {
    printf '   %s\n' "$*"
}

# Shows a command as a user would type it, and runs it.
try() {
    printf '\n$ %s\n' "$*"
    "$@"
}

# Tells by its exit status: 0 the engine has the image, 1 it has not, 2 there is no engine.
look_for_image() {
    python - "$1" <<'EOF'
import sys

import docker

try:
    engine = docker.from_env(timeout=10)
    engine.ping()
except docker.errors.DockerException:
    sys.exit(2)
try:
    engine.images.get(sys.argv[1])
except docker.errors.ImageNotFound:
    sys.exit(1)
EOF
}

finish() {
    step "Done"
    for file in $made; do
        say "$file"
    done
    exit 0
}

mkdir -p out
rm -f "$SEALED" "$PICTURE" "$ARCHIVE"

step "A key, which opens what it seals"
if [ -s "$KEY" ]; then
    say "$KEY is there from an earlier run: a key is never overwritten."
else
    try prefect keygen "$KEY"
    made="$KEY $made"
fi

step "The flow as one encrypted file"
try prefect build examples/weather.py -o "$SEALED" --key-file "$KEY"

step "What is in it? Looking executes nothing"
try prefect info "$SEALED" --key-file "$KEY"

step "Run the file; the archive is out of service once, so that you see a retry"
try prefect run "$SEALED" --key-file "$KEY" -p picture="$PICTURE" -p outages=1

step "The same flow as a container image"
base=${PREFECT_TEST_IMAGE:-$(python -c 'import sys; print("python:%d.%d-slim" % sys.version_info[:2])')}
found=0
look_for_image "$base" || found=$?
if [ "$found" -eq 2 ]; then
    say "No container engine answers, so this part is left out. To get one: \`make services\` on"
    say "Debian as root, or set DOCKER_HOST to an engine's address. Then run \`make demo\` again."
    finish
fi
say "On $base, with what the flow imports,"
say "in the versions that are installed here."
if ! try prefect build examples/weather.py --image "$base" --tag "$TAG"; then
    found=0
    look_for_image "$base" || found=$?
    [ "$found" -eq 1 ] || exit 1
    say "An engine answers, but it does not have the base image $base and cannot"
    say "pull it, so this part is left out. \`make services\` makes one; or name one that you have"
    say "in PREFECT_TEST_IMAGE. Then run \`make demo\` again."
    finish
fi
made="$made image:$TAG"

step "What is in the image?"
try prefect info "image:$TAG"

step "Run the image: two of the years, and the table alone"
say "A file that is written in a container goes with it, hence no picture. To get one out, mount"
say "a directory: docker run --rm -v \"\$PWD/out:/out\" $TAG run -p picture=/out/weather.png"
try prefect run "image:$TAG" -p first_year=2014 -p picture=null

step "The very same image as a file, for which no engine is needed"
try prefect build examples/weather.py --image "$base" --tag "$TAG" --export "$ARCHIVE"
made="$made $ARCHIVE"
finish
