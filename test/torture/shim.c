/*
 * A disk that is watched, and that can be made bad: loaded before libc (LD_PRELOAD), it stands between a process and
 * the files in one folder.
 *
 * SHIM_FOLDER   the files in this folder are watched; it stands there as open() is given it
 * SHIM_TRACE    where each write, with its bytes, and each sync is noted, in the order of the calls; of this process
 *               alone, as its children would number their files anew
 * SHIM_CONTROL  a file of six int32, shared with whoever makes the disk bad (struct control)
 *
 * What it must catch is what LMDB calls: pwrite, lseek + writev, fdatasync, and a descriptor opened O_DSYNC whose
 * writes are synced when they return. A write is noted before it begins and again when it has returned, and so is a
 * sync: a sync promises only what had returned before it began.
 *
 * The process lives in another boot than its successors (boot_id, below), as one that lost its power does: LMDB trusts
 * its newest, unsynced meta page only within the boot that wrote it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { NAMED = 1, WRITING, WRITTEN, SYNCING, SYNCED, TRUNCATED, MAPPED, RENAMED };

/* Little-endian, 24 bytes, then `length` bytes; test/torture/trace.ts reads it. */
struct note {
  uint8_t kind;
  uint8_t is_synced; /* of a write: its descriptor is O_DSYNC; of a SYNCED: it succeeded */
  uint16_t file;
  uint32_t call; /* the same in WRITING and WRITTEN, in SYNCING and SYNCED */
  uint64_t offset;
  uint32_t length;
  int32_t returned;
};

struct control {
  atomic_int sync_delay; /* microseconds that each sync takes longer */
  atomic_int failing_syncs; /* this many end with EIO */
  atomic_int failing_writes; /* this many end with EIO */
  atomic_int failing_synced_writes; /* this many, of a descriptor that is O_DSYNC, end with EIO */
  atomic_int is_full; /* writes beyond a file's end find no space */
  atomic_int is_lying; /* syncs do nothing and say that they did */
};

#define FDS 65536
#define FILES 256

static struct control calm;
static struct control *control = &calm;
static const char *folder;
static int trace = -1;
static int boot_id_fd = -1;
static atomic_uint calls;
static pthread_mutex_t writing_note = PTHREAD_MUTEX_INITIALIZER;
static char *names[FILES];
static atomic_int file_count;
static _Atomic uint16_t file_of[FDS]; /* 0: not watched */
static _Atomic uint8_t dsync_of[FDS];

#define REAL(name, type, ...)                                   \
  static type (*real_##name)(__VA_ARGS__);                      \
  static type (*get_##name(void))(__VA_ARGS__) {                \
    if (!real_##name) real_##name = dlsym(RTLD_NEXT, #name);    \
    return real_##name;                                         \
  }
REAL(open, int, const char *, int, ...)
REAL(openat, int, int, const char *, int, ...)
REAL(close, int, int)
REAL(read, ssize_t, int, void *, size_t)
REAL(write, ssize_t, int, const void *, size_t)
REAL(writev, ssize_t, int, const struct iovec *, int)
REAL(pwrite, ssize_t, int, const void *, size_t, off_t)
REAL(pwritev, ssize_t, int, const struct iovec *, int, off_t)
REAL(ftruncate, int, int, off_t)
REAL(fsync, int, int)
REAL(fdatasync, int, int)
REAL(sync_file_range, int, int, off_t, off_t, unsigned)
REAL(mmap, void *, void *, size_t, int, int, int, off_t)
REAL(rename, int, const char *, const char *)

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("SHIM_TRACE");
  folder = getenv("SHIM_FOLDER");
  if (path) trace = get_open()(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  unsetenv("SHIM_TRACE");
  path = getenv("SHIM_CONTROL");
  int fd = path ? get_open()(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *shared = get_mmap()(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (shared != MAP_FAILED) control = shared;
  get_close()(fd);
}

/* One writev for a note and its bytes, so that whoever asks for the trace's size never sees half of one. */
static void put(struct note note, const struct iovec *bytes, int count) {
  if (trace < 0) return;
  struct iovec parts[1 + count];
  parts[0] = (struct iovec){&note, sizeof note};
  if (count) memcpy(parts + 1, bytes, count * sizeof *bytes);
  pthread_mutex_lock(&writing_note);
  ssize_t wrote = get_writev()(trace, parts, 1 + count);
  pthread_mutex_unlock(&writing_note);
  if (wrote != (ssize_t)(sizeof note + note.length)) abort(); /* a trace with a hole would prove anything */
}

static int file_named(const char *path) {
  int count = file_count;
  for (int i = 1; i <= count; i++)
    if (!strcmp(names[i], path)) return i;
  int file = ++file_count;
  if (file >= FILES) abort();
  names[file] = strdup(path);
  struct iovec name = {names[file], strlen(path)};
  put((struct note){.kind = NAMED, .file = file, .length = name.iov_len}, &name, 1);
  return file;
}

static int opened(int fd, const char *path, int flags) {
  if (fd < 0 || fd >= FDS) return fd;
  if (!strcmp(path, "/proc/sys/kernel/random/boot_id")) boot_id_fd = fd;
  size_t length = folder ? strlen(folder) : 0;
  if (!length || strncmp(path, folder, length) || path[length] != '/' || !(flags & (O_WRONLY | O_RDWR))) return fd;
  dsync_of[fd] = (flags & O_DSYNC) != 0; /* O_SYNC holds that bit as well */
  file_of[fd] = file_named(path + length + 1);
  return fd;
}

static int watched(int fd) { return fd >= 0 && fd < FDS ? file_of[fd] : 0; }

static int takes_one(atomic_int *count) {
  int left = atomic_load(count);
  while (left > 0)
    if (atomic_compare_exchange_weak(count, &left, left - 1)) return 1;
  return 0;
}

static int refused(int fd, off_t end) {
  struct stat stat;
  if (takes_one(&control->failing_writes)) return errno = EIO;
  if (dsync_of[fd] && takes_one(&control->failing_synced_writes)) return errno = EIO;
  if (control->is_full && !fstat(fd, &stat) && end > stat.st_size) return errno = ENOSPC;
  return 0;
}

static void wait_for_disk(void) {
  int delay = control->sync_delay;
  struct timespec pause = {delay / 1000000, delay % 1000000 * 1000L};
  if (delay > 0) nanosleep(&pause, NULL);
}

/* Where a file is watched: notes the write, lets it happen unless the disk is bad, notes its end. */
static ssize_t traced_write(int fd, const struct iovec *bytes, int count, off_t offset, int moves) {
  size_t length = 0;
  for (int i = 0; i < count; i++) length += bytes[i].iov_len;
  if (refused(fd, offset + length)) return -1;
  uint32_t call = ++calls;
  uint8_t is_synced = dsync_of[fd] && !control->is_lying;
  struct note note = {WRITING, is_synced, watched(fd), call, offset, length, 0};
  put(note, bytes, count);
  ssize_t wrote = moves ? get_writev()(fd, bytes, count) : get_pwritev()(fd, bytes, count, offset);
  int error = errno;
  if (is_synced) wait_for_disk();
  note.kind = WRITTEN;
  note.length = 0;
  note.returned = wrote;
  put(note, NULL, 0);
  errno = error;
  return wrote;
}

static int traced_sync(int fd, int (*real)(int)) {
  if (!watched(fd)) return real(fd);
  if (control->is_lying) return 0;
  uint32_t call = ++calls;
  put((struct note){SYNCING, 0, watched(fd), call, 0, 0, 0}, NULL, 0);
  int failed = takes_one(&control->failing_syncs) ? EIO : real(fd) ? errno : 0;
  wait_for_disk();
  put((struct note){SYNCED, !failed, watched(fd), call, 0, 0, 0}, NULL, 0);
  errno = failed;
  return failed ? -1 : 0;
}

static mode_t mode_from(int flags, va_list rest) {
  return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

/* A lying disk still takes the writes of an O_DSYNC descriptor: only nobody waits for them. */
static int kept(int flags) { return control->is_lying ? flags & ~O_SYNC : flags; }

#define OPENS(name)                                             \
  int name(const char *path, int flags, ...) {                  \
    va_list rest;                                               \
    va_start(rest, flags);                                      \
    mode_t mode = mode_from(flags, rest);                       \
    va_end(rest);                                               \
    return opened(get_open()(path, kept(flags), mode), path, flags); \
  }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name)                                          \
  int name(int at, const char *path, int flags, ...) {          \
    va_list rest;                                               \
    va_start(rest, flags);                                      \
    mode_t mode = mode_from(flags, rest);                       \
    va_end(rest);                                               \
    return opened(get_openat()(at, path, kept(flags), mode), path, flags); \
  }
OPENS_AT(openat)
OPENS_AT(openat64)

int close(int fd) {
  if (watched(fd)) file_of[fd] = 0;
  if (fd == boot_id_fd) boot_id_fd = -1;
  return get_close()(fd);
}

ssize_t read(int fd, void *bytes, size_t length) {
  ssize_t got = get_read()(fd, bytes, length);
  if (fd == boot_id_fd && fd >= 0 && got > 0) *(char *)bytes = *(char *)bytes == '1' ? '2' : '1';
  return got;
}

ssize_t write(int fd, const void *bytes, size_t length) {
  if (!watched(fd)) return get_write()(fd, bytes, length);
  struct iovec whole = {(void *)bytes, length};
  return traced_write(fd, &whole, 1, lseek(fd, 0, SEEK_CUR), 1);
}

ssize_t writev(int fd, const struct iovec *bytes, int count) {
  if (!watched(fd)) return get_writev()(fd, bytes, count);
  return traced_write(fd, bytes, count, lseek(fd, 0, SEEK_CUR), 1);
}

#define PWRITES(name)                                                         \
  ssize_t name(int fd, const void *bytes, size_t length, off_t offset) {      \
    if (!watched(fd)) return get_pwrite()(fd, bytes, length, offset);         \
    struct iovec whole = {(void *)bytes, length};                             \
    return traced_write(fd, &whole, 1, offset, 0);                            \
  }
PWRITES(pwrite)
PWRITES(pwrite64)

#define PWRITEVS(name)                                                        \
  ssize_t name(int fd, const struct iovec *bytes, int count, off_t offset) {  \
    if (!watched(fd)) return get_pwritev()(fd, bytes, count, offset);         \
    return traced_write(fd, bytes, count, offset, 0);                         \
  }
PWRITEVS(pwritev)
PWRITEVS(pwritev64)

#define TRUNCATES(name)                                                                             \
  int name(int fd, off_t length) {                                                                  \
    if (watched(fd)) put((struct note){TRUNCATED, 0, watched(fd), ++calls, length, 0, 0}, NULL, 0); \
    return get_ftruncate()(fd, length);                                                             \
  }
TRUNCATES(ftruncate)
TRUNCATES(ftruncate64)

int fsync(int fd) { return traced_sync(fd, get_fsync()); }
int fdatasync(int fd) { return traced_sync(fd, get_fdatasync()); }

/* Promises nothing of what a power cut leaves, so nothing is noted. */
int sync_file_range(int fd, off_t offset, off_t length, unsigned flags) {
  return get_sync_file_range()(fd, offset, length, flags);
}

/* Bytes written through a shared mapping would pass unseen; the reader of the trace refuses such a file. */
#define MAPS(name)                                                                                  \
  void *name(void *at, size_t length, int access, int flags, int fd, off_t offset) {                \
    if (watched(fd) && (access & PROT_WRITE) && (flags & MAP_SHARED))                               \
      put((struct note){MAPPED, 0, watched(fd), ++calls, offset, 0, 0}, NULL, 0);                   \
    return get_mmap()(at, length, access, flags, fd, offset);                                       \
  }
MAPS(mmap)
MAPS(mmap64)

int rename(const char *from, const char *to) {
  size_t length = folder ? strlen(folder) : 0;
  if (length && !strncmp(from, folder, length))
    put((struct note){RENAMED, 0, file_named(from + length + 1), ++calls, 0, 0, 0}, NULL, 0);
  return get_rename()(from, to);
}
