#!/bin/busybox sh
# The guest's first program: mounts the host's root below a writable layer, runs the command in it as root,
# leaves its exit code in the shared folder and powers off.
#
# Kernel command line: vm.share=FOLDER (writable, with the file `command`), vm.modules=FOLDER (on the host).
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
while read -r module; do $b insmod "/modules/$module"; done < /modules/order
for word in $($b cat /proc/cmdline); do
  case $word in
    vm.share=*) share=${word#vm.share=} ;;
    vm.modules=*) modules=${word#vm.modules=} ;;
  esac
done

off() {
  $b sync
  $b poweroff -f
}

n=/new
$b mount -t virtiofs -o ro root /lower || { echo "vm: cannot mount the host's root"; off; }
$b mount -t tmpfs tmpfs /upper
$b mkdir /upper/files /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay $n ||
  { echo "vm: cannot lay a writable layer over the host's root"; off; }
for d in proc sys dev; do $b mount --move /$d $n/$d; done
$b mkdir -p $n/dev/pts $n/dev/shm $n/usr/lib/modules "$n$share"
$b mount -t devpts devpts $n/dev/pts
$b mount -t tmpfs tmpfs $n/dev/shm
$b mount -t tmpfs tmpfs $n/run
$b mount -t virtiofs share "$n$share" || { echo "vm: cannot mount the shared folder"; off; }
$b mount -o bind "/lower$modules" $n/usr/lib/modules
$b mount -t bpf bpf $n/sys/fs/bpf
$b mount -t tracefs tracefs $n/sys/kernel/tracing
$b mount -t debugfs debugfs $n/sys/kernel/debug
$b mount -t cgroup2 cgroup2 $n/sys/fs/cgroup
$b ip link set lo up

# What the kernel calls when it misses a module: it looks among the files that it has started with.
$b mkdir -p /sbin
printf '#!%s sh\nexec %s chroot %s modprobe "$@"\n' $b $b $n > /sbin/modprobe
$b chmod 755 /sbin/modprobe

$b chroot $n /bin/sh "$share/command"
echo $? > "$n$share/exit-code"
off
