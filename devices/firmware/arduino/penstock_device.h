// A device for Penstock, Arduino style: MQTT 3.1.1 at QoS 1 over any Client (WiFiClient, EthernetClient).
//
// It publishes a reading every interval, keeps readings in a ring while there is no connection (saved to
// EEPROM when the connection breaks, so that a loss of power keeps them), takes its interval from the
// twin, and answers commands. Include it in a sketch such as penstock_device.ino.
#pragma once
#include <Arduino.h>
#include <Client.h>
#include <EEPROM.h>

const uint8_t RING_MAX = 16;
const uint8_t READING_MAX = 96;
const uint16_t PACKET_MAX = 512;
const unsigned long ANSWER_MS = 5000, KEEP_ALIVE_MS = 60000, BACK_OFF_MAX_MS = 60000;

struct Ring {  // what EEPROM holds: readings that wait, oldest first
  uint32_t magic, seq;
  uint8_t first, count;
  char readings[RING_MAX][READING_MAX];
};

class PenstockDevice {
 public:
  // `read` writes the fields of a reading without braces, as in "\"t\":21.5"; `obey` writes a JSON result.
  typedef void (*Read)(char *fields, size_t size);
  typedef bool (*Obey)(const char *name, const char *message, char *result, size_t size);

  PenstockDevice(Client &client, const char *host, uint16_t port, const char *name, const char *topic,
                 Read read, Obey obey, const char *key = nullptr)
      : client(client), host(host), port(port), name(name), topic(topic), key(key), read(read), obey(obey) {}

  void begin() {
    EEPROM.begin(sizeof(Ring));
    EEPROM.get(0, ring);
    if (ring.magic != MAGIC || ring.count > RING_MAX || ring.first >= RING_MAX) ring = Ring{MAGIC, 0, 0, 0, {}};
    ring.seq += SEQ_SKIP;  // numbers used since the last save may be in the log already
    save();
  }

  void step() {  // call it from loop()
    if ((long)(millis() - due_ms) >= 0) {
      due_ms = millis() + interval_ms;
      take_reading();
    }
    if (!client.connected()) {
      if (is_up) hang_up();
      if ((long)(millis() - dial_ms) >= 0 && !connect()) hang_up();
      return;
    }
    while (ring.count) {
      if (!publish(ring.readings[ring.first])) return hang_up();
      drop();
    }
    if (client.available() && !receive(0)) return hang_up();
    if (millis() - heard_ms > KEEP_ALIVE_MS / 2) {
      put_packet(0xC0, 0);
      if (!receive(0xD0)) hang_up();
    }
  }

  unsigned long interval_ms = 10000;

 private:
  static const uint32_t MAGIC = 0x50534b31, SEQ_SKIP = 1000;
  Client &client;
  const char *host;
  uint16_t port;
  const char *name, *topic, *key;
  Read read;
  Obey obey;
  Ring ring;
  uint8_t body[PACKET_MAX];
  uint16_t packet_id = 0;
  bool is_up = false;
  unsigned long due_ms = 0, dial_ms = 0, heard_ms = 0, back_off_ms = 1000;

  void save() { EEPROM.put(0, ring), EEPROM.commit(); }

  void drop() { ring.first = (ring.first + 1) % RING_MAX, ring.count--; }

  void take_reading() {
    char fields[READING_MAX - 20] = "";
    read(fields, sizeof fields);
    if (ring.count == RING_MAX) drop();  // the oldest makes room
    char *line = ring.readings[(ring.first + ring.count++) % RING_MAX];
    snprintf(line, READING_MAX, "{%s%s\"seq\":%lu}", fields, *fields ? "," : "", (unsigned long)ring.seq++);
    if (!is_up) save();
  }

  void hang_up() {
    client.stop(), is_up = false, save();
    dial_ms = millis() + back_off_ms;
    back_off_ms = min(back_off_ms * 2, BACK_OFF_MAX_MS);
  }

  // -- MQTT 3.1.1: a packet is built in `body` by put_*, then sent by put_packet.

  uint16_t put_text(uint16_t at, const char *text) {
    uint16_t length = strlen(text);
    if (at + 2 + length > PACKET_MAX) return at;
    body[at] = length >> 8, body[at + 1] = length & 0xFF;
    memcpy(body + at + 2, text, length);
    return at + 2 + length;
  }

  void put_packet(uint8_t first, uint16_t length) {
    uint8_t header[3] = {first, (uint8_t)(length & 0x7F), (uint8_t)(length >> 7)};
    if (length > 0x7F) header[1] |= 0x80;
    client.write(header, length > 0x7F ? 3 : 2);
    client.write(body, length);
  }

  void tell(uint8_t first, const char *to, const char *payload) {
    uint16_t at = put_text(0, to);
    if (first & 0x06) {
      if (++packet_id == 0) packet_id = 1;
      body[at++] = packet_id >> 8, body[at++] = packet_id & 0xFF;
    }
    uint16_t length = min((uint16_t)strlen(payload), (uint16_t)(PACKET_MAX - at));
    memcpy(body + at, payload, length);
    put_packet(first, at + length);
  }

  bool connect() {
    if (!client.connect(host, port)) return false;
    uint16_t at = put_text(0, "MQTT");
    const uint8_t rest[] = {4, (uint8_t)(key ? 0xC2 : 0x02), 0, KEEP_ALIVE_MS / 1000};
    memcpy(body + at, rest, sizeof rest), at += sizeof rest;
    at = put_text(at, name);
    if (key) at = put_text(put_text(at, name), key);
    put_packet(0x10, at);
    if (!receive(0x20) || body[1] != 0) return false;
    char filter[PACKET_MAX / 4];
    body[0] = 0, body[1] = 1;
    snprintf(filter, sizeof filter, "twin/%s/desired", name);
    at = put_text(2, filter), body[at++] = 1;
    snprintf(filter, sizeof filter, "command/%s/request/+", name);
    at = put_text(at, filter), body[at++] = 1;
    put_packet(0x82, at);
    if (receive(0x90)) back_off_ms = 1000, is_up = true;
    return is_up;
  }

  bool publish(const char *reading) { return tell(0x32, topic, reading), receive(0x40); }

  int next_byte() {
    unsigned long start_ms = millis();
    while (!client.available()) {
      if (!client.connected() || millis() - start_ms > ANSWER_MS) return -1;
      delay(1);
    }
    return client.read();
  }

  // Read packets into `body` until one of this kind has come (0: any); messages are heard meanwhile.
  bool receive(uint8_t kind) {
    while (true) {
      int first = next_byte(), length = 0, digit = 0x80;
      for (int shift = 0; digit & 0x80; shift += 7) {
        if ((digit = next_byte()) < 0 || shift > 21) return false;
        length |= (digit & 0x7F) << shift;
      }
      for (int at = 0; at < length; at++) {
        int byte = next_byte();
        if (byte < 0) return false;
        if (at < PACKET_MAX - 1) body[at] = byte;
      }
      heard_ms = millis();
      body[min(length, (int)PACKET_MAX - 1)] = 0;
      if ((first & 0xF0) == 0x30 && length < PACKET_MAX) hear(first, length);
      if (!kind || (first & 0xF0) == kind) return first >= 0;
    }
  }

  void hear(uint8_t first, uint16_t length) {
    uint16_t at = 2 + (body[0] << 8 | body[1]);
    if (at + 2 > length) return;
    char to[PACKET_MAX / 4] = "", message[PACKET_MAX];
    memcpy(to, body + 2, min(at - 2, (int)sizeof to - 1));
    strcpy(message, (char *)body + at + (first & 0x06 ? 2 : 0));
    if (first & 0x06) memmove(body, body + at, 2), put_packet(0x40, 2);
    char answer_to[PACKET_MAX / 4], answer[PACKET_MAX / 2];
    const char *wanted = strstr(message, "\"interval_s\":"), *request = strrchr(to, '/');
    if (!strncmp(to, "twin/", 5) && wanted && atof(wanted + 13) > 0 && atof(wanted + 13) <= 86400) {
      interval_ms = atof(wanted + 13) * 1000, due_ms = millis();
      snprintf(answer_to, sizeof answer_to, "twin/%s/reported", name);
      snprintf(answer, sizeof answer, "{\"interval_s\":%.3f}", interval_ms / 1000.0);
      tell(0x30, answer_to, answer);
    } else if (!strncmp(to, "command/", 8) && request) {
      char command[32] = "", result[PACKET_MAX / 4] = "null";
      const char *at_name = strstr(message, "\"name\":");
      if (at_name) sscanf(at_name + 7, " \"%31[^\"]", command);
      bool is_known = obey(command, message, result, sizeof result);
      snprintf(answer_to, sizeof answer_to, "command/%s/response/%s", name, request + 1);
      snprintf(answer, sizeof answer, "{\"status\":%d,\"result\":%s}", is_known ? 200 : 404, result);
      tell(0x30, answer_to, answer);
    }
  }
};
