/* Lets one system call on the ledger's files fail: the N-th write, flush, truncation, removal or opening of a file whose
   path holds a given text. Loaded before the C library, which makes the call when it is not the one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static char match[512];
static long countdown = -1;
static int kind; /* an errno; or -1, killed before the call; -2, killed after it; -3, killed after half of a write */
static long seen;
static int files[4096];

void fault_arm(const char *text, long at, int how) {
  snprintf(match, sizeof match, "%s", text);
  countdown = at;
  kind = how;
  seen = 0;
  for (int fd = 0; fd < 4096; fd++) {
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    files[fd] = 0;
    if (length > 0) {
      path[length] = 0;
      files[fd] = strstr(path, match) != NULL;
    }
  }
}

long fault_seen(void) { return seen; }

static int ours(int fd) { return match[0] && fd >= 0 && fd < 4096 && files[fd]; }

/* 1 when this call is the one that fails. */
static int due(void) {
  seen++;
  return countdown >= 0 && countdown-- == 0;
}

static void die(void) { kill(getpid(), SIGKILL); }

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

#define AROUND(result, call)                                                                                           \
  do {                                                                                                                 \
    if (!due()) return call;                                                                                           \
    if (kind == -1) die();                                                                                             \
    if (kind < 0) {                                                                                                    \
      result = call;                                                                                                   \
      die();                                                                                                           \
      return result;                                                                                                   \
    }                                                                                                                  \
    errno = kind;                                                                                                      \
    return -1;                                                                                                         \
  } while (0)

static ssize_t half(size_t count) { return (ssize_t)(kind == -3 ? count / 2 : count); }

ssize_t pwrite64(int fd, const void *data, size_t count, off64_t at) {
  ssize_t result;
  if (!ours(fd)) return REAL(pwrite64)(fd, data, count, at);
  AROUND(result, REAL(pwrite64)(fd, data, countdown == -1 ? half(count) : (ssize_t)count, at));
}

ssize_t pwrite(int fd, const void *data, size_t count, off_t at) { return pwrite64(fd, data, count, at); }

ssize_t write(int fd, const void *data, size_t count) {
  ssize_t result;
  if (!ours(fd)) return REAL(write)(fd, data, count);
  AROUND(result, REAL(write)(fd, data, countdown == -1 ? half(count) : (ssize_t)count));
}

int fsync(int fd) {
  int result;
  if (!ours(fd)) return REAL(fsync)(fd);
  AROUND(result, REAL(fsync)(fd));
}

int fdatasync(int fd) {
  int result;
  if (!ours(fd)) return REAL(fdatasync)(fd);
  AROUND(result, REAL(fdatasync)(fd));
}

int ftruncate64(int fd, off64_t length) {
  int result;
  if (!ours(fd)) return REAL(ftruncate64)(fd, length);
  AROUND(result, REAL(ftruncate64)(fd, length));
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int unlink(const char *path) {
  int result;
  if (!match[0] || !strstr(path, match)) return REAL(unlink)(path);
  AROUND(result, REAL(unlink)(path));
}

static int opened(const char *path, int fd) {
  if (fd >= 0 && fd < 4096) files[fd] = match[0] && strstr(path, match) != NULL;
  return fd;
}

static int opening(const char *path, int flags, mode_t mode) {
  int result;
  if (!match[0] || !strstr(path, match)) return opened(path, REAL(open64)(path, flags, mode));
  AROUND(result, opened(path, REAL(open64)(path, flags, mode)));
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return opening(path, flags, mode);
}

int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return opening(path, flags, mode);
}
