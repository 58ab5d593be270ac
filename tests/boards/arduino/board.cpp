// A board that is a process: board HOST PORT NAME TOPIC INTERVAL_MS
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "penstock_device.h"

unsigned long millis() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000UL + now.tv_nsec / 1000000;
}
void delay(unsigned long ms) { usleep(ms * 1000); }

struct PosixClient : Client {
  int fd = -1;
  int connect(const char *host, uint16_t port) override {
    stop();
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    inet_pton(AF_INET, host, &to.sin_addr);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (::connect(fd, (sockaddr *)&to, sizeof to)) stop();
    return fd >= 0;
  }
  size_t write(const uint8_t *bytes, size_t size) override { return fd < 0 ? 0 : send(fd, bytes, size, 0); }
  int available() override {
    pollfd waiting = {fd, POLLIN, 0};
    char byte;
    return fd >= 0 && poll(&waiting, 1, 0) > 0 && recv(fd, &byte, 1, MSG_PEEK) > 0;
  }
  int read() override {
    uint8_t byte;
    return recv(fd, &byte, 1, 0) == 1 ? byte : -1;
  }
  void stop() override {
    if (fd >= 0) close(fd);
    fd = -1;
  }
  uint8_t connected() override {
    pollfd waiting = {fd, POLLIN, 0};
    char byte;
    if (fd >= 0 && poll(&waiting, 1, 0) > 0 && recv(fd, &byte, 1, MSG_PEEK) <= 0) stop();
    return fd >= 0;
  }
};

static int reading = 0;
void read_sensors(char *fields, size_t size) { snprintf(fields, size, "\"n\":%d", reading++); }
bool obey(const char *name, const char *, char *result, size_t size) {
  if (!strcmp(name, "count")) return snprintf(result, size, "%d", reading), true;
  return false;
}

int main(int, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  PosixClient client;
  PenstockDevice device(client, argv[1], atoi(argv[2]), argv[3], argv[4], read_sensors, obey);
  device.begin();
  device.interval_ms = atoi(argv[5]);
  for (;;) {
    device.step();
    delay(1);
  }
}
