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

cd "$root/usr/lib/python3.11"
rm -rf test idlelib tkinter turtledemo ensurepip lib2to3 pydoc_data distutils config-3.11-*
rm -f lib-dynload/_tkinter* lib-dynload/_codecs_jp* lib-dynload/_codecs_kr* \
    lib-dynload/_codecs_cn* lib-dynload/_codecs_tw* lib-dynload/_codecs_hk*

cd "$packages"
# libonnxruntime.so.* is for C and C++ programs; the Python module does not link to it.
rm -rf onnxruntime/capi/libonnxruntime.so.* onnxruntime/transformers onnxruntime/quantization \
    onnxruntime/tools onnxruntime/datasets numpy/f2py numpy/distutils bin
find . -depth -type d -name tests -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.a' -o -name '_simd*.so' -o -name '_*tests*.so' \) -delete
find "$root" -depth -type d -name __pycache__ -exec rm -rf {} +
# Compiled once here: the root file system may be read-only later. The hash needs no mtime.
python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$root" -p / \
    "$root/usr/lib/python3.11" "$packages"

# The shared libraries that all of these link to, and those that glibc loads by name.
find "$root" -type f \( -name '*.so*' -o -name python3.11 \) -exec ldd {} + 2>/dev/null \
    | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/lib64[^ ]*\).*/\1/p' | sort -u \
    | while read -r library; do
        case $library in "$root"*) continue ;; esac
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
for name in libnss_dns.so.2 libnss_files.so.2 libresolv.so.2; do
    cp -L "/lib/x86_64-linux-gnu/$name" "$root/lib/x86_64-linux-gnu/"
done
