#!/bin/busybox sh
# The virtual machine's first process: cgroups of version 2 only, the host's / below a tmpfs, the disk on /data.
b=/bin/busybox
fail() {
    $b echo "vm: no $1"
    $b poweroff -f
}

$b mount -t devtmpfs dev /dev && $b mount -t proc proc /proc && $b mount -t sysfs sys /sys || fail "kernel file systems"
$b modprobe -a virtio_pci virtio_blk virtio_console virtio_rng virtiofs overlay || fail modules
$b modprobe -a bridge veth nf_tables nf_conntrack_netlink nft_chain_nat nft_ct nft_fib_inet nft_masq nft_meta_bridge nft_nat ||
    fail "modules for networks"
$b mount -t virtiofs -o ro host /lower || fail "root from the host"
$b mount -t tmpfs upper /upper && $b mkdir /upper/upper /upper/work &&
    $b mount -t overlay -o lowerdir=/lower,upperdir=/upper/upper,workdir=/upper/work root /root || fail overlay

cd /root || fail root
for d in dev proc sys; do $b mount --move /$d $d; done
$b mount -t tmpfs run run
$b mkdir -p dev/pts dev/shm data
$b mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts dev/pts
$b mount -t tmpfs shm dev/shm
$b ln -s /proc/self/fd dev/fd
$b mount -t cgroup2 cgroup2 sys/fs/cgroup || fail cgroup2
# A disk with an error stops the machine: the tests look for no message.
$b mount -t ext4 -o errors=panic dev/vda data || fail disk

command=$($b sed -n 's/.*vm\.command=\([^ ]*\).*/\1/p' /root/proc/cmdline)
exec $b switch_root . /usr/bin/tini -- $($b echo "$command" | $b tr , ' ') <dev/console >dev/console 2>&1
