#pragma once

#include <gtest/gtest.h>

#include <string>

/// Expect `statement` to throw `Exception` with a message that contains `part`.
#define EXPECT_MESSAGE(statement, Exception, part)                                         \
  do {                                                                                     \
    try {                                                                                  \
      static_cast<void>(statement);                                                        \
      ADD_FAILURE() << #statement " threw nothing, expected " #Exception;                  \
    } catch (const Exception& error) {                                                     \
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)                   \
          << "the message is: " << error.what() << "\nexpected it to contain: " << (part); \
    }                                                                                      \
  } while (false)
