// The noise field of coupled sampling on the device.
#pragma once
