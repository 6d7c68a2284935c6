#!/usr/bin/env bash
# Make a folder with what `python -m benchmarks.gpu` needs on a machine that has a GPU and torch, but no network:
#
#   benchmarks/gpu/carry.sh FOLDER [PYTHON_VERSION]        e.g. benchmarks/gpu/carry.sh build/gpu 3.12
#   FOLDER/run [OPTION]…                                   there, in this project's checkout
#
# In it: this project's wheel, TorchServe's, those of PACKAGES for that Python, and a Java that jlink cut to what TorchServe
# uses. Needs a JDK here (jlink, 17 or later). Everything together is held to 64 MiB.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,8s/^# \?//p' "$0" >&2; exit 2; }
folder=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")/../.."

python=${PYTHON:-.venv/bin/python}
there=${2:-$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')}
packages=${PACKAGES:-httptools orjson}
modules=java.base,java.desktop,java.logging,java.management,jdk.management,java.naming,java.xml,java.sql,jdk.unsupported,jdk.crypto.ec
most=$((64 << 20))

command -v jlink >/dev/null || { echo 'carry: there is no jlink: install a JDK (Debian: openjdk-17-jdk-headless)' >&2; exit 6; }
rm -rf "$folder/wheels" "$folder/java.tar.xz" && mkdir -p "$folder/wheels"

"$python" -m hatchling build -t wheel -d "$folder/wheels" >/dev/null
pinned=()
for package in $packages; do pinned+=("$(grep -i "^$package==" constraints.txt || echo "$package")"); done
platforms=()
for platform in manylinux_2_28 manylinux_2_17 manylinux2014; do platforms+=(--platform "${platform}_$(uname -m)"); done
"$python" -m pip download -q --no-deps --only-binary=:all: --python-version "$there" --implementation cp "${platforms[@]}" \
  -d "$folder/wheels" "${pinned[@]}"
"$python" -m pip download -q --no-deps -d "$folder/wheels" "$(grep '^torchserve==' constraints.txt)"

# Not compressed by jlink: xz does that better, on the whole.
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
jlink --add-modules "$modules" --compress=0 --strip-debug --no-header-files --no-man-pages --output "$temporary/java"
# Of java.desktop, log4j wants java.beans and nothing that draws.
(cd "$temporary/java/lib" && rm -f libawt* libfontmanager* libfreetype* libmlib_image* libjavajpeg* liblcms* libsplashscreen* libjsound*)
tar -C "$temporary" -cf - java | xz -6 -T0 >"$folder/java.tar.xz"

cat >"$folder/run" <<'RUN'
#!/usr/bin/env bash
# Run the benchmark with what lies beside this file; from the checkout of the project.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
place=${TMPDIR:-/tmp}/deploy-carried
python3 -m pip install -q --no-index --no-deps --no-compile --upgrade --target "$place/site" "$here"/wheels/*.whl
mkdir -p "$place" && tar -C "$place" -xJf "$here/java.tar.xz"
export PYTHONPATH=$place/site JAVA_HOME=$place/java
exec python3 -m benchmarks.gpu "$@"
RUN
chmod +x "$folder/run"

size=$(du -sb "$folder" | cut -f1)
echo "carry: $folder: $((size >> 20)) MiB" >&2
[ "$size" -le "$most" ] || { echo "carry: that is more than $((most >> 20)) MiB" >&2; exit 1; }
