// The little of Arduino that penstock_device.h uses, for a machine with POSIX.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <algorithm>
using std::min;
unsigned long millis();
void delay(unsigned long ms);
