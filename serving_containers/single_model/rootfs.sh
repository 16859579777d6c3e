#!/bin/sh
# rootfs.sh SITE ROOT: puts into ROOT only what the server needs at run time.
set -eu
site=$1
root=$2
packages=$root/usr/local/lib/python3.11/dist-packages

mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/etc/ssl/certs" "$root/tmp" "$root/opt/ml" "$packages"
for name in bin lib lib64; do
    mkdir -p "$root/usr/$name"
    ln -s "usr/$name" "$root/$name"
done
chmod 1777 "$root/tmp"
cp /usr/bin/python3.11 "$root/usr/bin/"
cp -a /usr/lib/python3.11 "$root/usr/lib/"
cp -aT "$site" "$packages"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
echo 'root:x:0:0:root:/:/usr/sbin/nologin' > "$root/etc/passwd"
echo 'root:x:0:' > "$root/etc/group"
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"

# prune.txt, which `workbench package` reads too; find's patterns are those that it is written in.
sed '/^#/d; /^$/d' "$(dirname "$0")/prune.txt" | while read -r pattern; do
    find "$root" -depth -path "$root/$pattern" -exec rm -rf {} +
done

cd "$packages"
# Symbols for debuggers, of which these are mostly made.
strip --strip-unneeded uvloop/*.so tokenizers/*.so

# Shared libraries: what the programs and modules link to, and nothing that only went with the rest.
linked=$(mktemp)
find "$root" -type f \( -name '*.so' -o -name python3.11 \) -exec ldd {} + > "$linked"
if grep 'not found' "$linked"; then
    echo 'rootfs.sh: a shared library is missing' >&2
    exit 1
fi
sed -i -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/lib64[^ ]*\).*/\1/p' "$linked"
sed -i 's,[^/]*/\.\./,,' "$linked" # $ORIGIN/../pillow.libs
for library in ./*.libs/*; do
    grep -qF "${library#.}" "$linked" || rm "$library"
done
sort -u "$linked" | while read -r library; do
    case $library in "$root"*) continue ;; esac
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
for name in libnss_dns.so.2 libnss_files.so.2 libresolv.so.2; do
    cp -L "/lib/x86_64-linux-gnu/$name" "$root/lib/x86_64-linux-gnu/"
done

find "$root" -depth -type d -name __pycache__ -exec rm -rf {} +
# Compiled once here: the root file system may be read-only later. The hash needs no mtime.
python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$root" -p / \
    "$root/usr/lib/python3.11" "$packages"
