/* Open-loop HTTP/1.1 load: requests are due at random (a Poisson process of RATE requests per
 * second), whether or not earlier ones are answered.
 *
 *   openloop HOST PORT RATE SECONDS CONNECTIONS REQUEST_FILE SEED
 *
 * The same seed gives the same moments. REQUEST_FILE holds the whole request, headers and body. The
 * latency of a request counts from the moment it was due, so a server that stalls is charged for
 * every request that it kept waiting (no coordinated omission). One JSON object on stdout: counts,
 * and latencies in milliseconds. A request that is not answered within 10 s after the last one was
 * due counts as lost, with the time so far.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER 65536
#define GRACE_S 10.0

struct connection {
    int fd;
    long request; /* index of the request in flight, -1 if none */
    size_t filled;
    char buffer[BUFFER];
};

static struct sockaddr_in address;
static char *message;
static size_t message_size;
static int poller;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void open_connection(struct connection *c) {
    int yes = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event)) die("epoll_ctl");
    c->request = -1;
    c->filled = 0;
}

/* 0: not complete yet; otherwise the status of the complete answer. */
static int complete(struct connection *c) {
    c->buffer[c->filled] = 0;
    char *end = strstr(c->buffer, "\r\n\r\n");
    if (!end) return 0;
    int status = atoi(c->buffer + 9);
    *end = 0;
    char *length = strcasestr(c->buffer, "\r\ncontent-length:");
    char *chunked = strcasestr(c->buffer, "\r\ntransfer-encoding: chunked");
    *end = '\r';
    if (length) {
        size_t whole = (size_t)(end + 4 - c->buffer) + strtoul(length + 17, NULL, 10);
        return c->filled >= whole ? status : 0;
    }
    if (chunked) {
        int last = c->filled >= 5 && !memcmp(c->buffer + c->filled - 5, "0\r\n\r\n", 5);
        return last ? status : 0;
    }
    return status;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "usage: openloop HOST PORT RATE SECONDS CONNECTIONS REQUEST_FILE SEED\n");
        return 2;
    }
    double rate = atof(argv[3]), seconds = atof(argv[4]);
    int connections = atoi(argv[5]);
    long total = (long)(rate * seconds), sent = 0, finished = 0;
    long ok = 0, refused = 0, broken = 0;
    address.sin_family = AF_INET;
    address.sin_port = htons((unsigned short)atoi(argv[2]));
    if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1 || total < 1 || connections < 1) return 2;

    FILE *file = fopen(argv[6], "rb");
    if (!file) die(argv[6]);
    message = malloc(BUFFER);
    message_size = fread(message, 1, BUFFER, file);
    fclose(file);

    poller = epoll_create1(0);
    struct connection *all = calloc((size_t)connections, sizeof *all);
    struct connection **idle = calloc((size_t)connections, sizeof *idle);
    double *latency = calloc((size_t)total, sizeof *latency);
    double *due = calloc((size_t)total, sizeof *due); /* seconds after the start */
    if (!message || !all || !idle || !latency || !due) die("memory");
    srand48(atol(argv[7]));
    for (long i = 0; i < total; i++)
        due[i] = (i ? due[i - 1] : 0) - log(1 - drand48()) / rate;
    int idles = 0;
    for (int i = 0; i < connections; i++) {
        open_connection(&all[i]);
        idle[idles++] = &all[i];
    }

    double start = now(), deadline = start + due[total - 1] + GRACE_S;
    struct epoll_event events[256];
    while (finished < total && now() < deadline) {
        double passed = now() - start;
        while (sent < total && due[sent] <= passed && idles) {
            struct connection *c = idle[--idles];
            c->request = sent++;
            c->filled = 0;
            if (write(c->fd, message, message_size) != (ssize_t)message_size) {
                broken++;
                latency[finished++] = now() - (start + due[c->request]);
                close(c->fd);
                open_connection(c);
                idle[idles++] = c;
            }
        }
        double wait = sent < total && idles ? start + due[sent] - now() : 0.1;
        if (wait > 0.1) wait = 0.1;
        struct timespec pause = {0, wait > 0 ? (long)(wait * 1e9) : 0};
        int ready = epoll_pwait2(poller, events, 256, &pause, NULL);
        if (ready < 0 && errno != EINTR) die("epoll_pwait2");
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            ssize_t got = read(c->fd, c->buffer + c->filled, BUFFER - 1 - c->filled);
            if (got < 0 && errno == EAGAIN) continue;
            int closed = got <= 0, status = 0;
            if (!closed) {
                c->filled += (size_t)got;
                if (c->request >= 0 && !(status = complete(c))) continue;
            }
            if (c->request >= 0) {
                latency[finished++] = now() - (start + due[c->request]);
                if (closed) broken++;
                else if (status == 200) ok++;
                else refused++;
                c->request = -1;
                idle[idles++] = c;
            }
            if (closed) { /* its place in `idle` stays: the connection is opened again */
                close(c->fd);
                open_connection(c);
            }
        }
    }
    double end = now();
    long lost = total - finished;
    for (int i = 0; i < connections; i++)
        if (all[i].request >= 0) latency[finished++] = end - (start + due[all[i].request]);
    for (; sent < total; sent++) latency[finished++] = end - (start + due[sent]);
    qsort(latency, (size_t)total, sizeof *latency, ascending);
    printf("{\"rate\": %g, \"requests\": %ld, \"ok\": %ld, \"refused\": %ld, \"broken\": %ld, "
           "\"lost\": %ld, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
           rate, total, ok, refused, broken, lost, latency[total / 2] * 1e3,
           latency[total * 99 / 100] * 1e3, latency[total - 1] * 1e3);
    return 0;
}
