// An ESP32 that reports its temperature to Penstock. Put this file and penstock_device.h in one folder.
#include <WiFi.h>

#include "penstock_device.h"

void read_sensors(char *fields, size_t size) { snprintf(fields, size, "\"celsius\":%.1f", temperatureRead()); }

bool obey(const char *name, const char *message, char *result, size_t size) {
  if (!strcmp(name, "uptime")) return snprintf(result, size, "%lu", millis() / 1000), true;
  return false;
}

WiFiClient client;
PenstockDevice device(client, "192.168.1.10", 1883, "board-1", "plant/board-1/climate", read_sensors, obey);

void setup() {
  WiFi.begin("network", "password");
  device.begin();
}

void loop() {
  device.step();
  delay(10);
}
